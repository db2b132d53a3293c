/** A stack whose parts can be killed or frozen one by one, and come back on the same ports. */
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { azuriteConnectionString, startAzurite } from '#dev/azurite/azurite.js';
import { freePorts } from '#dev/stack/ports.js';
import { type StackOptions, startFunctions, startServiceBus } from '#dev/stack/stack.js';
import type { StartedChild } from '#service-bus/child.js';
import { isAlive } from './alive.ts';
import {
  type Between,
  type StorageFault,
  type StorageProxy,
  startProxy,
  startStorageProxy,
} from './proxy.ts';
import { root } from './stack.ts';
import { until } from './until.ts';

/** In the order in which they start; the worker is started by its host. */
export const partNames = ['storage', 'broker', 'host', 'worker'] as const;
export type Part = (typeof partNames)[number];
type Started = Exclude<Part, 'worker'>;

export interface CrashableOptions {
  settings?: Record<string, string>;
  /** Of every queue; as in topology.json if left out. */
  lockDuration?: string;
  /** The host and its worker reach broker and storage through proxies, which fail by these numbers. */
  proxied?: () => number;
}

export type CrashableStack = Awaited<ReturnType<typeof crashableStack>>;

export async function crashableStack(data: string, options: CrashableOptions = {}) {
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
  const ports = { http, serviceBus, blob, queue, table };
  const stackOptions: StackOptions = {
    ...{ root, data, host: '127.0.0.1', ports, main: 'dist/test/support/app.js' },
    settings: options.settings ?? {},
    topology: await topologyWith(data, options),
  };
  const azurite = { data: join(data, 'azurite'), host: '127.0.0.1', ports };
  const between = options.proxied && (await proxies(ports, options.proxied));
  let bus = '';
  let worker = 0;
  const start: Record<Started, () => Promise<StartedChild<unknown>>> = {
    storage: () => startAzurite(azurite),
    async broker() {
      const started = await startServiceBus(stackOptions);
      bus = started.ready.connectionString;
      return started;
    },
    async host() {
      const seen = { ...ports, ...between?.ports };
      const started = await startFunctions(
        stackOptions,
        bus.replace(`:${serviceBus}`, `:${seen.serviceBus}`),
        azuriteConnectionString({ ...azurite, ports: seen }),
      );
      worker = started.ready.worker;
      started.process.on('message', (message: { worker?: number }) => {
        worker = message.worker ?? worker;
      });
      return started;
    },
  };
  const running = new Map<Started, StartedChild<unknown>>();
  const order = Object.keys(start) as Started[];
  for (const part of order) running.set(part, await start[part]());
  const pidOf = (part: Part) =>
    part === 'worker' ? worker : (running.get(part)?.process.pid ?? 0);
  return {
    url: `http://127.0.0.1:${http}`,
    get serviceBus() {
      return bus;
    },
    /** Kills these at once with SIGKILL, and starts them again, some time later. */
    async crash(parts: readonly Part[], awayMs = 0) {
      const dead = worker;
      const dying = order.filter((part) => parts.includes(part));
      const gone = dying.map((part) => once(running.get(part)?.process ?? process, 'exit'));
      for (const part of parts) signal(pidOf(part), 'SIGKILL');
      await Promise.all(gone);
      await pause(awayMs);
      for (const part of dying) running.set(part, await start[part]());
      await until(
        'the worker has ended',
        async () => !parts.includes('worker') || !(await isAlive(dead)),
      );
      if (parts.includes('worker')) await until('another worker', () => worker !== dead);
    },
    /** Stops these for a while, as a machine does that is paused. */
    async freeze(parts: readonly Part[], ms: number) {
      const pids = parts.map(pidOf);
      for (const pid of pids) signal(pid, 'SIGSTOP');
      await pause(ms);
      for (const pid of pids) signal(pid, 'SIGCONT');
    },
    /** Every connection of the host and its worker, to the broker and to storage. */
    cut() {
      for (const proxy of between?.all ?? []) proxy.cut();
    },
    /** Storage fails in one of these ways, request by request. */
    failStorage(faults: readonly StorageFault[], share: number) {
      for (const proxy of between?.storage ?? []) proxy.fail(faults, share);
    },
    healStorage() {
      for (const proxy of between?.storage ?? []) proxy.heal();
    },
    async stop() {
      for (const part of order.toReversed()) await running.get(part)?.stop();
      for (const proxy of between?.all ?? []) await proxy.close();
    },
  };
}

async function proxies(ports: StackOptions['ports'], random: () => number) {
  const bus = await startProxy(ports.serviceBus);
  const blob = await startStorageProxy(ports.blob, random);
  const table = await startStorageProxy(ports.table, random);
  const storage: StorageProxy[] = [blob, table];
  const all: Between[] = [bus, ...storage];
  return { all, storage, ports: { serviceBus: bus.port, blob: blob.port, table: table.port } };
}

/** It may have gone by itself, as a worker with its host. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {}
}

async function topologyWith(data: string, { lockDuration }: CrashableOptions): Promise<string> {
  const own = join(root, 'topology.json');
  if (lockDuration === undefined) return own;
  const topology = JSON.parse(await readFile(own, 'utf8')) as { queues: object[] };
  const queues = topology.queues.map((queue) => ({ ...queue, lockDuration }));
  await mkdir(data, { recursive: true });
  await writeFile(join(data, 'topology.json'), JSON.stringify({ ...topology, queues }));
  return join(data, 'topology.json');
}
