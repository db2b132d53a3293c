/** The embedded Service Bus: `start()` for programs and tests, or a command of its own. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { standardMessageBytes } from './amqp/faults.ts';
import { type Certificate, type Listener, listen } from './amqp/listener.ts';
import { type SharedKey, Tokens } from './amqp/tokens.ts';
import { type Clock, systemClock } from './clock.ts';
import { type QueueDescription, type TopicDescription, topologySchema } from './entity/settings.ts';
import { Namespace } from './namespace.ts';
import { openDiskStore } from './store/disk.ts';
import { openMemoryStore } from './store/memory.ts';
import { brokerClock } from './time.ts';

export interface BrokerOptions {
  /** In the names of `topology.json`, which are ARM's. Default none: the administration makes them. */
  queues?: readonly QueueDescription[] | undefined;
  topics?: readonly TopicDescription[] | undefined;
  /** Folder to keep messages in; without one they live as long as the process. */
  data?: string | undefined;
  /** Default 127.0.0.1. */
  host?: string | undefined;
  /** AMQP, WebSockets and the HTTP administration. Default 0: one that is free. */
  port?: number | undefined;
  /** The administration on a port of its own too; 0: one that is free. Default none. */
  adminPort?: number | undefined;
  /** With a certificate the same port speaks TLS too. */
  tls?: Certificate | undefined;
  /** When given, tokens and keys are checked. Default: everybody may do everything. */
  keys?: readonly SharedKey[] | undefined;
  /** Default 262,144: that of the Standard tier. */
  maxMessageBytes?: number | undefined;
  clock?: Clock | undefined;
  /** True when no client outlived the last broker: its locks end at once. Default false. */
  releaseLocks?: boolean | undefined;
}

export interface Broker {
  port: number;
  adminPort: number | undefined;
  /** For the unmodified `@azure/service-bus`. */
  connectionString: string;
  close(): Promise<void>;
}

const anyKey: SharedKey = { name: 'RootManageSharedAccessKey', key: 'SAS_KEY_VALUE' };

/** @throws Error that says what is wrong with the topology, the data or the port */
export async function start(options: BrokerOptions): Promise<Broker> {
  const host = options.host ?? '127.0.0.1';
  const clock = brokerClock(options.clock ?? systemClock);
  const topology = checkTopology(options, 'The options');
  const store = options.data === undefined ? openMemoryStore() : await openDiskStore(options.data);
  const closing: (() => Promise<void>)[] = [() => store.close()];
  let listener: Listener;
  try {
    const releaseLocks = options.releaseLocks ?? false;
    const namespace = await Namespace.open(topology, store, { clock, releaseLocks });
    closing[0] = () => namespace.close();
    listener = await listen(namespace, {
      host,
      port: options.port ?? 0,
      adminPort: options.adminPort,
      tls: options.tls,
      tokens: new Tokens(options.keys ?? [], () => clock.now()),
      clock,
      maxMessageBytes: options.maxMessageBytes ?? standardMessageBytes,
    });
    closing.unshift(() => listener.close());
  } catch (fault) {
    // Or nobody could start another broker on the same data.
    await closing[0]?.();
    throw fault;
  }
  const { name, key } = options.keys?.[0] ?? anyKey;
  return {
    port: listener.port,
    adminPort: listener.adminPort,
    connectionString: `Endpoint=sb://${host}:${listener.port};SharedAccessKeyName=${name};SharedAccessKey=${key};UseDevelopmentEmulator=true;`,
    async close() {
      for (const close of closing) await close();
    },
  };
}

/** The entities of a topology file; throws an error that names what is wrong in it. */
export async function readTopology(file: string) {
  return checkTopology(JSON.parse(await readFile(file, 'utf8')), file);
}

function checkTopology(given: unknown, where: string): z.output<typeof topologySchema> {
  const parsed = topologySchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`${where} does not describe queues and topics:\n  ${wrong.join('\n  ')}`);
}
