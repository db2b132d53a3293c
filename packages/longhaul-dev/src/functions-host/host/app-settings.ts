/** App settings as the host reads them: local.settings.json, the environment, `%NAME%` expressions. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFile } from '../../json-file.ts';
import type { LogLevel } from '../log.ts';

export type AppSettings = Readonly<Record<string, string | undefined>>;

const localSettings = z.object({ Values: z.record(z.string(), z.string()).default({}) });

/** Values of local.settings.json, below what the environment says, as `func start` does. */
export function readLocalSettings(root: string, environment: AppSettings): AppSettings {
  const file = join(root, 'local.settings.json');
  if (!existsSync(file)) return environment;
  return { ...localSettings.parse(readJsonFile(file)).Values, ...environment };
}

/** Replaces each `%NAME%` in a binding's value by the app setting. */
export function resolveExpressions<T>(value: T, settings: AppSettings): T {
  if (typeof value !== 'string') return value;
  return value.replace(/%([^%]+)%/g, (_, name: string) => {
    const setting = settings[name];
    if (setting === undefined) throw new Error(`'%${name}%' does not resolve: set ${name}.`);
    return setting;
  }) as T;
}

/** `AzureWebJobs.NAME.Disabled`, also with underscores, as Linux variables cannot hold points. */
export function isDisabled(name: string, settings: AppSettings): boolean {
  const value =
    settings[`AzureWebJobs.${name}.Disabled`] ??
    settings[`AzureWebJobs_${name.replaceAll('-', '_')}_Disabled`];
  return value === '1' || value?.toLowerCase() === 'true';
}

// host.json times are .NET TimeSpans: [d.]hh:mm:ss[.fff]
const timeSpan = z
  .string()
  .regex(/^(\d+\.)?\d{1,2}:\d{2}:\d{2}(\.\d+)?$/, 'is no time span: write hh:mm:ss')
  .transform((text) => {
    const [days, clock] = /^\d+\.\d+:/.test(text) ? text.split(/\.(.*)/) : ['0', text];
    const [hours = 0, minutes = 0, seconds = 0] = (clock ?? '').split(':').map(Number);
    return (((Number(days) * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  });

const hostJson = z.object({
  version: z.literal('2.0'),
  logging: z
    .object({ logLevel: z.record(z.string(), z.string()).default({}) })
    .default({ logLevel: {} }),
  extensions: z
    .object({
      http: z.object({ routePrefix: z.string().default('api') }).default({ routePrefix: 'api' }),
      serviceBus: z
        .object({
          maxConcurrentCalls: z.int().min(1).default(16),
          maxConcurrentSessions: z.int().min(1).default(8),
          maxMessageBatchSize: z.int().min(1).default(1000),
          prefetchCount: z.int().min(0).default(0),
          autoCompleteMessages: z.boolean().default(true),
          maxAutoLockRenewalDuration: timeSpan.default(300_000),
          sessionIdleTimeout: timeSpan.default(60_000),
        })
        .prefault({}),
    })
    .prefault({}),
  functionTimeout: timeSpan.default(1_800_000),
});

export type HostJson = z.output<typeof hostJson>;

/** Defaults: learn.microsoft.com/azure/azure-functions/functions-host-json and its extension pages. */
export function readHostJson(root: string, settings: AppSettings): HostJson {
  const raw = readJsonFile(join(root, 'host.json')) as Record<string, unknown>;
  for (const [name, value] of Object.entries(settings)) override(raw, name, value);
  const parsed = hostJson.safeParse(raw);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`host.json: ${where.join('; ')}`);
}

/** `AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls` and the like. */
function override(raw: Record<string, unknown>, name: string, value: string | undefined): void {
  const [prefix, ...path] = name.split('__');
  const last = path.pop();
  if (prefix !== 'AzureFunctionsJobHost' || last === undefined || value === undefined) return;
  let at = raw;
  for (const part of path) {
    at[part] ??= {};
    at = at[part] as Record<string, unknown>;
  }
  at[last] = /^(\d+|true|false)$/.test(value) ? JSON.parse(value) : value;
}

export function logLevelOf(host: HostJson): LogLevel {
  const level = (host.logging.logLevel['default'] ?? 'Information').toLowerCase();
  return level as LogLevel;
}
