/**
 * `npm run bench:bus [messages] [queued] [rounds]`: the embedded Service Bus in memory and durable, by
 * turns in one run: plain rhea clients and the real SDK, with an empty queue and a long one; and bare
 * rhea. Brokers and clients are processes of their own. Default 20,000 messages of 1 KB, a million
 * queued, 8 rounds.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryOf, type Started, startBareRhea, startBroker } from './bus-brokers.ts';
import { fill, plainReceive, plainSend, sdk } from './bus-clients.ts';
import { type Compared, compare, line, type Pair, rate } from './bus-pairs.ts';

const count = Number(process.argv[2] ?? 20_000);
const queued = Number(process.argv[3] ?? 1_000_000);
const rounds = Number(process.argv[4] ?? 8);
const sessionCycles = Math.max(100, Math.round(count / 40));
const queuedName = `${queued.toLocaleString('en')} queued`;

const print = (compared: Map<string, Compared>) =>
  console.table(Object.fromEntries([...compared].map(([name, of]) => [name, line(of)])));

const say = (what: string) => process.stdout.write(`${what}\n`);
const ms = ({ startedMs }: Started) => `${Math.round(startedMs)} ms`;

async function bareRhea(): Promise<void> {
  const { port, stop } = await startBareRhea();
  for (let round = 0; round < 2; round++) {
    const sent = await plainSend(port, count);
    const received = await plainReceive(port, count);
    if (round > 0) say(`bare rhea: sends ${rate(count, sent)}, receives ${rate(count, received)}`);
  }
  await stop();
}

async function plainRuns(brokers: Pair<Started>, queue: string, when = ''): Promise<void> {
  print(
    await compare(brokers, brokers, rounds, {
      [`plain: send${when}`]: {
        messages: count,
        work: ({ port }) => plainSend(port, count, queue),
      },
      [`plain: receive and accept${when}`]: {
        messages: count,
        work: ({ port }) => plainReceive(port, count, queue),
      },
    }),
  );
}

async function sdkRuns(brokers: Pair<Started>): Promise<void> {
  const clients = { memory: sdk(brokers.memory.port), durable: sdk(brokers.durable.port) };
  const receive = (messages: number) => ({
    messages,
    work: (client: ReturnType<typeof sdk>) => client.receive(messages),
  });
  print(
    await compare(brokers, clients, rounds, {
      'SDK: send, 50 at once': { messages: count, work: (client) => client.send(count) },
      'SDK: subscribe(200) and complete': receive(count),
      'SDK: send in batches of 100': {
        messages: count * 2,
        work: (client) => client.sendBatches(count * 2),
      },
      'the same again: complete': receive(count * 2),
      'SDK: next session, one message, close, 16 at once': {
        messages: sessionCycles,
        work: (client) => client.sessions(sessionCycles),
      },
    }),
  );
  for (const client of [clients.memory, clients.durable]) await client.close();
}

const stop = async ({ memory, durable }: Pair<Started>) => {
  for (const broker of [memory, durable]) await broker.stop();
};

async function longQueue(topology: string, data: string): Promise<void> {
  const brokers = {
    memory: await startBroker(topology),
    durable: await startBroker(topology, data),
  };
  say(`start, empty: in memory ${ms(brokers.memory)}, durable ${ms(brokers.durable)}`);
  for (const [how, broker] of Object.entries(brokers)) {
    const before = memoryOf(broker);
    await fill(broker.port, queued, 'long');
    const bytes = Math.round((memoryOf(broker) - before) / queued);
    say(`memory of a queued message of 1 KB, ${how}: ${bytes} bytes`);
  }
  for (let round = 0; round < 3; round++) {
    await brokers.durable.stop();
    brokers.durable = await startBroker(topology, data);
    say(`start, ${queuedName}: ${ms(brokers.durable)}`);
  }
  await plainRuns(brokers, 'long', `, ${queuedName}`);
  await stop(brokers);
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
  await bareRhea();
  const brokers = {
    memory: await startBroker(topology),
    durable: await startBroker(topology, join(folder, 'data')),
  };
  await plainRuns(brokers, 'q');
  await sdkRuns(brokers);
  await stop(brokers);
  await longQueue(topology, join(folder, 'long'));
} finally {
  await rm(folder, { recursive: true, force: true });
}
