/**
 * Two brokers side by side, one in memory and one durable, each given the same work by turns (A B, B A,
 * A B …): what else the machine does falls on both, and one pair is compared with itself.
 */
import { cpuOf, cpuOfMachine, type Started } from './bus-brokers.ts';

export interface Pair<T> {
  memory: T;
  durable: T;
}

/** One piece of work done by one broker. */
interface Run {
  ms: number;
  /** Microseconds of the broker's processor time for each message, and those of its loop's thread. */
  cpu: number;
  loop: number;
  /** Of one processor, how much others than the broker and this process had meanwhile. */
  others: number;
}

async function run(broker: Started, messages: number, work: () => Promise<number>): Promise<Run> {
  const [before, own, machine, began] = [
    cpuOf(broker),
    process.cpuUsage(),
    cpuOfMachine(),
    performance.now(),
  ];
  const ms = await work();
  const [after, client] = [cpuOf(broker), process.cpuUsage(own)];
  const took = performance.now() - began;
  const all = after.all - before.all;
  const ours = all + (client.user + client.system) / 1000;
  return {
    ms,
    cpu: (all * 1000) / messages,
    loop: ((after.loop - before.loop) * 1000) / messages,
    others: Math.max(0, (cpuOfMachine() - machine - ours) / took),
  };
}

export interface Compared {
  messages: number;
  /** Durable rate divided by the rate in memory, of each pair. */
  ratios: number[];
  memory: Run[];
  durable: Run[];
}

/** `steps` are done one after the other with each broker, in each of so many rounds after a first one. */
export async function compare<T>(
  brokers: Pair<Started>,
  clients: Pair<T>,
  rounds: number,
  steps: Record<string, { messages: number; work: (client: T) => Promise<number> }>,
): Promise<Map<string, Compared>> {
  const found = new Map<string, Compared>();
  for (let round = 0; round <= rounds; round++)
    for (const [name, { messages, work }] of Object.entries(steps)) {
      const ran: Partial<Pair<Run>> = {};
      const order = ['memory', 'durable'] as const;
      for (const which of round % 2 ? order : order.toReversed())
        ran[which] = await run(brokers[which], messages, () => work(clients[which]));
      const { memory, durable } = ran;
      // The first round warms up.
      if (round === 0 || !memory || !durable) continue;
      const of = found.get(name) ?? { messages, ratios: [], memory: [], durable: [] };
      of.ratios.push(memory.ms / durable.ms);
      of.memory.push(memory);
      of.durable.push(durable);
      found.set(name, of);
    }
  return found;
}

/** The value below which this part of all lies. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [low = 0, high = 0] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

const median = (runs: readonly Run[], of: keyof Run) =>
  quantile(
    runs.map((run) => run[of]),
    0.5,
  );

export const rate = (messages: number, ms: number) =>
  `${Math.round((messages * 1000) / ms).toLocaleString('en')}/s`;

/** A line of the table; what lies between the quartiles stands behind a median. */
export function line({ messages, ratios, memory, durable }: Compared): Record<string, string> {
  const percent = (part: number) => Math.round(quantile(ratios, part) * 100);
  const cpu = (runs: readonly Run[]) =>
    `${median(runs, 'cpu').toFixed(0)} (${median(runs, 'loop').toFixed(0)})`;
  return {
    'in memory': rate(messages, median(memory, 'ms')),
    durable: rate(messages, median(durable, 'ms')),
    'durable / memory': `${percent(0.5)} % (${percent(0.25)}–${percent(0.75)})`,
    'CPU µs (loop) in memory': cpu(memory),
    'CPU µs (loop) durable': cpu(durable),
    others: median([...memory, ...durable], 'others').toFixed(2),
  };
}
