/** The local Functions host: loads the compiled app as the worker does and calls its functions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format } from 'node:util';
import { BlobServiceClient } from '@azure/storage-blob';
import { type AppSettings, isDisabled, logLevelOf, readHostJson } from './app-settings.ts';
import { listenBlobs } from './blob.ts';
import { type RegisteredFunction, Registry, supplyCoreModule } from './core-module.ts';
import { listenHttp } from './http.ts';
import { createInvoke, triggerOf } from './invoke.ts';
import { createLog, type Log } from './log.ts';
import { listenServiceBus } from './service-bus.ts';
import { Settlement, serveSettlement } from './settlement.ts';
import { listenTimers } from './timer.ts';

export interface HostOptions {
  /** The app's folder: host.json, and package.json whose `main` is the entry point. */
  root: string;
  host: string;
  port: number;
  settings: AppSettings;
  /** Another entry point, below `root`. */
  main?: string;
}

export interface Host {
  port: number;
  functions: string[];
  /** Takes in nothing new, waits for what runs (`drainMs` at most, default 30 s), then ends. */
  stop(drainMs?: number): Promise<void>;
}

const kinds = {
  httptrigger: 'http',
  servicebustrigger: 'serviceBus',
  timertrigger: 'timer',
  blobtrigger: 'blob',
} as const;

function sortByKind(functions: readonly RegisteredFunction[]) {
  const sorted: Record<(typeof kinds)[keyof typeof kinds], RegisteredFunction[]> = {
    http: [],
    serviceBus: [],
    timer: [],
    blob: [],
  };
  for (const target of functions) {
    const type = triggerOf(target).binding.type;
    const kind = kinds[type.toLowerCase() as keyof typeof kinds];
    if (!kind)
      throw new Error(
        `Function ${target.metadata.name}: the local host has no ${type} (it has ${Object.keys(kinds).join(', ')}).`,
      );
    sorted[kind].push(target);
  }
  return sorted;
}

export async function startHost(options: HostOptions): Promise<Host> {
  const { root, host, port, settings } = options;
  const hostJson = readHostJson(root, settings);
  const log = createLog(logLevelOf(hostJson));
  logConsole(log);
  const registry = new Registry();
  supplyCoreModule(registry, log);
  const settlement = new Settlement();
  const grpc = await serveSettlement(settlement);
  const main = options.main ?? mainOf(root);
  await import(pathToFileURL(join(root, main)).href);
  if (!registry.model)
    throw new Error(
      `${main} registered nothing with @azure/functions: are there two copies of it?`,
    );

  const enabled = registry.functions.filter(({ metadata }) => !isDisabled(metadata.name, settings));
  const { http, serviceBus, timer, blob } = sortByKind(enabled);
  const context = { settings, hostJson, invoke: createInvoke(registry, log), log };
  const storage = () => {
    const connection = settings['AzureWebJobsStorage'];
    if (!connection)
      throw new Error('Timers and blob triggers need the setting AzureWebJobsStorage.');
    return BlobServiceClient.fromConnectionString(connection);
  };
  await registry.runHooks('appStart', { hookData: {}, appHookData: {} });
  const web = await listenHttp(http, context, registry.model, { host, port });
  const listeners = [
    await listenServiceBus(serviceBus, context, settlement),
    await listenTimers(timer, context, storage),
    await listenBlobs(blob, context, storage),
  ];
  return {
    port: web.port,
    functions: enabled.map(({ metadata }) => metadata.name),
    async stop(drainMs = 30_000) {
      // The worker's hook for shutdown: an app that wants to hand back its work does it here.
      const terminated = registry.runHooks('appTerminate', { hookData: {}, appHookData: {} });
      const drained = Promise.all([web.stop(), ...listeners.map((listener) => listener.stop())]);
      const late = new Promise((resolve) => setTimeout(resolve, drainMs).unref());
      await Promise.race([Promise.all([drained, terminated]), late]);
      grpc.stop();
    },
  };
}

const mainOf = (root: string) =>
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { main: string }).main;

// rhea's words about the bytes before each message that the Service Bus extension has it decode.
const noise = 'WARNING: expected described message section';

/** The worker forwards an app's console to the log. */
function logConsole(log: Log): void {
  const levels = {
    debug: 'debug',
    log: 'information',
    info: 'information',
    warn: 'warning',
    error: 'error',
  } as const;
  for (const [method, level] of Object.entries(levels))
    console[method as keyof typeof levels] = (...args: unknown[]) => {
      const text = format(...args);
      if (!text.startsWith(noise)) log(level, text);
    };
}
