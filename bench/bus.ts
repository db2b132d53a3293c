/**
 * `npm run bench:bus [messages] [queued]`: the embedded Service Bus beside bare rhea, side by side in one
 * run: plain rhea clients and the real SDK, in memory and durable, with an empty queue and a long one.
 * Broker and clients are processes of their own. Default 20,000 messages of 1 KB and a million queued.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceBusClient } from '@azure/service-bus';
import rhea from 'rhea';
import { freePorts } from '#dev/stack/ports.js';
import { startChild } from '#service-bus/child.js';
import { batchedMessages } from './bus-batch.ts';

const count = Number(process.argv[2] ?? 20_000);
const queued = Number(process.argv[3] ?? 1_000_000);
const body = 'x'.repeat(1024);
const window = 500;
const sessionCycles = Math.max(100, Math.round(count / 40));

type Row = Record<string, string>;
const rows: Record<string, Row> = {};
const note = (what: string, how: string, value: string) => {
  rows[what] = { ...rows[what], [how]: value };
};
const rate = (n: number, ms: number) => `${Math.round((n * 1000) / ms).toLocaleString('en')}/s`;

// --- plain AMQP -----------------------------------------------------------------------------------

interface Plain {
  connection: rhea.Connection;
  close(): Promise<void>;
}

async function plain(port: number): Promise<Plain> {
  const connection = rhea
    .create_container()
    .connect({ port, host: '127.0.0.1', reconnect: false, username: 'a' });
  await new Promise((resolve) => connection.once('connection_open', resolve));
  return {
    connection,
    async close() {
      const closed = new Promise((resolve) => connection.once('connection_close', resolve));
      connection.close();
      await closed;
    },
  };
}

/** Sends with up to `window` unacknowledged; answers the milliseconds until all are accepted. */
async function plainSend(port: number, messages: number, queue = 'q'): Promise<number> {
  const { connection, close } = await plain(port);
  const sender = connection.open_sender(queue);
  await new Promise((resolve) => sender.once('sendable', resolve));
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let [sent, accepted] = [0, 0];
    const fill = () => {
      while (sent < messages && sent - accepted < window && sender.sendable()) {
        sender.send({ body });
        sent++;
      }
    };
    sender.on('accepted', () => {
      if (++accepted === messages) resolve();
      else fill();
    });
    sender.on('sendable', fill);
    fill();
  });
  const ms = performance.now() - began;
  await close();
  return ms;
}

async function plainReceive(port: number, messages: number, queue = 'q'): Promise<number> {
  const { connection, close } = await plain(port);
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let received = 0;
    const receiver = connection.open_receiver({
      source: queue,
      credit_window: window,
      autoaccept: true,
    });
    receiver.on('message', () => {
      if (++received === messages) resolve();
    });
  });
  const ms = performance.now() - began;
  await close();
  return ms;
}

// --- brokers --------------------------------------------------------------------------------------

interface Started {
  port: number;
  process: ChildProcess;
  startedMs: number;
  stop(): Promise<void>;
}

async function startBroker(topology: string, data?: string): Promise<Started> {
  const [port = 0] = await freePorts(1);
  const began = performance.now();
  const child = await startChild<{ port: number }>(
    'broker',
    new URL(import.meta.resolve('#service-bus/process.js')),
    ['--topology', topology, '--port', String(port), ...(data ? ['--data', data] : [])],
  );
  const startedMs = performance.now() - began;
  return { port, process: child.process, startedMs, stop: () => child.stop() };
}

async function startBareRhea(): Promise<Started> {
  const child = fork(new URL('./bus-rhea.js', import.meta.url));
  const port = await new Promise<number>((resolve) => child.once('message', resolve as () => void));
  return { port, process: child, startedMs: 0, stop: async () => void child.kill('SIGKILL') };
}

const memoryOf = ({ process }: Started) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process.pid}/status`, 'utf8'))?.[1]) * 1024;

const connectionTo = (port: number) =>
  `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`;

// --- the SDK --------------------------------------------------------------------------------------

async function inParallel(at: number, total: number, act: (n: number) => Promise<void>) {
  const began = performance.now();
  let next = 0;
  const work = async () => {
    while (next < total) await act(next++);
  };
  await Promise.all(Array.from({ length: at }, work));
  return performance.now() - began;
}

async function withSdk(how: string, { port }: Started): Promise<void> {
  const client = new ServiceBusClient(connectionTo(port));
  const sender = client.createSender('sdk');
  const single = await inParallel(50, count, () => sender.sendMessages({ body }));
  note('SDK: send, 50 at once', how, rate(count, single));
  note('SDK: subscribe(200) and complete', how, rate(count, await sdkReceive(client, count)));
  const hundreds = Math.round(count / 100);
  const hundred = Array.from({ length: 100 }, () => ({ body }));
  const batches = await inParallel(4, hundreds, () => sender.sendMessages(hundred));
  note('SDK: send in batches of 100', how, rate(hundreds * 100, batches));
  await sdkReceive(client, hundreds * 100);
  const sessions = client.createSender('sessions');
  for (let at = 0; at < sessionCycles; at += 100)
    await sessions.sendMessages(
      Array.from({ length: Math.min(100, sessionCycles - at) }, (_, n) => ({
        body,
        sessionId: `s${at + n}`,
      })),
    );
  const cycles = await inParallel(16, sessionCycles, async () => {
    const receiver = await client.acceptNextSession('sessions', {
      maxAutoLockRenewalDurationInMs: 0,
    });
    const [message] = await receiver.receiveMessages(1);
    if (message) await receiver.completeMessage(message);
    await receiver.close();
  });
  note('SDK: next session, one message, close, 16 at once', how, rate(sessionCycles, cycles));
  await client.close();
}

async function sdkReceive(client: ServiceBusClient, messages: number): Promise<number> {
  const receiver = client.createReceiver('sdk', { skipParsingBodyAsJson: true });
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let done = 0;
    receiver.subscribe(
      {
        async processMessage(message) {
          await receiver.completeMessage(message);
          if (++done === messages) resolve();
        },
        async processError({ error }) {
          console.error(error);
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: 200 },
    );
  });
  const ms = performance.now() - began;
  await receiver.close();
  return ms;
}

// --- the runs -------------------------------------------------------------------------------------

async function plainRuns(how: string, { port }: Started, queue = 'q', when = ''): Promise<void> {
  // Once to warm up, then the best of two: the machine is shared. All that is sent is received each
  // time, as what is under way to a receiver that closes is locked for a while.
  const sends: number[] = [];
  const receives: number[] = [];
  for (const messages of [count / 2, count, count]) {
    sends.push(await plainSend(port, messages, queue));
    receives.push(await plainReceive(port, messages, queue));
  }
  note(`rhea: send, acknowledged${when}`, how, rate(count, Math.min(...sends.slice(1))));
  note(`rhea: receive and accept${when}`, how, rate(count, Math.min(...receives.slice(1))));
}

async function fill(broker: Started, messages: number): Promise<void> {
  const { connection, close } = await plain(broker.port);
  const sender = connection.open_sender('long');
  await new Promise((resolve) => sender.once('sendable', resolve));
  const batch = batchedMessages(Array.from({ length: 200 }, () => body));
  let next = () => {};
  sender.on('accepted', () => next());
  for (let sent = 0; sent < messages; sent += 200)
    await new Promise<void>((resolve) => {
      next = resolve;
      // biome-ignore lint/suspicious/noExplicitAny: rhea takes encoded bytes when a format is given
      sender.send(batch as any, undefined, 0x80013700);
    });
  await close();
}

async function longQueue(how: string, topology: string, data?: string): Promise<void> {
  let broker = await startBroker(topology, data);
  note('start, empty', how, `${Math.round(broker.startedMs)} ms`);
  const before = memoryOf(broker);
  await fill(broker, queued);
  const name = `${queued.toLocaleString('en')} queued`;
  note(
    `memory of a queued message of 1 KB`,
    how,
    `${Math.round((memoryOf(broker) - before) / queued)} bytes`,
  );
  if (data) {
    await broker.stop();
    broker = await startBroker(topology, data);
    note(`start, ${name}`, how, `${Math.round(broker.startedMs)} ms`);
  }
  await plainRuns(how, broker, 'long', `, ${name}`);
  await broker.stop();
}

const folder = await mkdtemp(join(tmpdir(), 'longhaul-bench-bus-'));
try {
  const topology = join(folder, 'topology.json');
  const queue = { maxSizeInMegabytes: 100_000 };
  await writeFile(
    topology,
    JSON.stringify({
      queues: [
        { name: 'q', ...queue },
        { name: 'sdk', ...queue },
        { name: 'long', ...queue },
        { name: 'sessions', requiresSession: true },
      ],
    }),
  );
  const bare = await startBareRhea();
  await plainRuns('bare rhea', bare);
  await bare.stop();
  const ways = { 'in memory': undefined, durable: join(folder, 'data') };
  for (const [how, data] of Object.entries(ways)) {
    const broker = await startBroker(topology, data);
    await plainRuns(how, broker);
    await withSdk(how, broker);
    await broker.stop();
  }
  await longQueue('in memory', topology);
  await longQueue('durable', topology, join(folder, 'long'));
  console.table(rows);
} finally {
  await rm(folder, { recursive: true, force: true });
}
