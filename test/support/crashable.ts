/** A stack whose parts can be killed one by one and come back on the same ports. */
import { once } from 'node:events';
import { join } from 'node:path';
import { azuriteConnectionString, startAzurite } from '../../local/azurite.ts';
import type { StartedChild } from '../../local/child.ts';
import { freePorts } from '../../local/ports.ts';
import { type StackOptions, startFunctions, startServiceBus } from '../../local/stack.ts';
import { root } from './stack.ts';

/** In the order in which they start. */
export const partNames = ['storage', 'broker', 'host'] as const;
export type Part = (typeof partNames)[number];

export async function crashableStack(data: string, settings: Record<string, string> = {}) {
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
  const ports = { http, serviceBus, blob, queue, table };
  const main = 'dist/test/support/app.js';
  const options: StackOptions = { root, data, host: '127.0.0.1', ports, main, settings };
  const azurite = { data: join(data, 'azurite'), host: '127.0.0.1', ports };
  let bus = '';
  const start: Record<Part, () => Promise<StartedChild<unknown>>> = {
    storage: () => startAzurite(azurite),
    async broker() {
      const started = await startServiceBus(options);
      bus = started.ready.connectionString;
      return started;
    },
    host: () => startFunctions(options, bus, azuriteConnectionString(azurite)),
  };
  const running = new Map<Part, StartedChild<unknown>>();
  for (const part of partNames) running.set(part, await start[part]());
  return {
    url: `http://127.0.0.1:${http}`,
    get serviceBus() {
      return bus;
    },
    /** Kills these at once with SIGKILL, and starts them again. */
    async crash(parts: readonly Part[]) {
      const dying = parts.flatMap((part) => running.get(part)?.process ?? []);
      const gone = dying.map((process) => once(process, 'exit'));
      for (const process of dying) process.kill('SIGKILL');
      await Promise.all(gone);
      for (const part of partNames.filter((name) => parts.includes(name)))
        running.set(part, await start[part]());
    },
    async stop() {
      for (const part of partNames.toReversed()) await running.get(part)?.stop();
    },
  };
}
