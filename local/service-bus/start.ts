/** The embedded Service Bus: `start()` for programs and tests, or a command of its own. */
import { readFile } from 'node:fs/promises';
import { type Clock, systemClock } from '../clock.ts';
import { listen } from './amqp/listener.ts';
import { type QueueDescription, topologyOfQueues } from './entity/settings.ts';
import { Namespace } from './namespace.ts';
import { openDiskStore } from './store/disk.ts';
import { openMemoryStore } from './store/memory.ts';

export interface BrokerOptions {
  /** The queues, in the names of `topology.json`. */
  queues: readonly QueueDescription[];
  /** Folder to keep messages in; without one they live as long as the process. */
  data?: string | undefined;
  /** Default 127.0.0.1. */
  host?: string | undefined;
  /** Default 0: one that is free. */
  port?: number | undefined;
  clock?: Clock | undefined;
  /** True when no client outlived the last broker: its locks end at once. Default false. */
  releaseLocks?: boolean | undefined;
}

export interface Broker {
  port: number;
  /** For the unmodified `@azure/service-bus`. */
  connectionString: string;
  close(): Promise<void>;
}

export async function start(options: BrokerOptions): Promise<Broker> {
  const host = options.host ?? '127.0.0.1';
  const store = options.data === undefined ? openMemoryStore() : await openDiskStore(options.data);
  const namespace = await Namespace.open(options.queues, store, options.clock ?? systemClock, {
    releaseLocks: options.releaseLocks ?? false,
  });
  const listener = await listen(namespace, { host, port: options.port ?? 0 });
  const key = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE';
  return {
    port: listener.port,
    connectionString: `Endpoint=sb://${host}:${listener.port};${key};UseDevelopmentEmulator=true;`,
    async close() {
      await listener.close();
      await namespace.close();
    },
  };
}

/** The queues of a topology file; throws an error that names what is wrong in it. */
export async function readTopology(file: string): Promise<QueueDescription[]> {
  const parsed = topologyOfQueues.safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (parsed.success) return parsed.data.queues;
  const where = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`${file} does not describe queues:\n  ${where.join('\n  ')}`);
}
