/** What is to be true of all jobs of a round together, once each has ended. */
import assert from 'node:assert/strict';
import { ServiceBusClient } from '@azure/service-bus';
import type { createClient, Status } from '../support/client.ts';
import { readLines } from '../support/lines.ts';
import { until } from '../support/until.ts';
import type { Fault } from './faults.ts';
import { insist, steps } from './load.ts';

type Client = ReturnType<typeof createClient>;

export interface Accepted {
  id: string;
  kind: number;
  n: number;
}

const read = async <T>(client: Client, path: string): Promise<T> =>
  (await (await insist(() => client.call(path))).json()) as T;

/** Also children, and those of whose acceptance the caller never heard. */
export async function allEnd(client: Client): Promise<void> {
  await until('the end of every record', async () => {
    for (const state of ['scheduled', 'queued', 'running', 'waiting']) {
      const { jobs } = await read<{ jobs: Status[] }>(client, `/jobs?state=${state}&limit=1000`);
      const isOpen = ({ type }: Status) => type.startsWith('test.') && type !== 'test.recurring';
      if (jobs.some(isOpen)) return false;
    }
    return true;
  });
}

/** None twice: the reply's id follows from the job. */
export async function oneReplyEach(
  connection: string,
  accepted: readonly Accepted[],
): Promise<void> {
  const bus = new ServiceBusClient(connection);
  try {
    const receiver = bus.createReceiver('replies', { receiveMode: 'receiveAndDelete' });
    const replies = new Map<unknown, number>();
    const wanted = new Set(accepted.map(({ id }) => id));
    while (replies.size < wanted.size) {
      const some = await receiver.receiveMessages(500, { maxWaitTimeInMs: 5_000 });
      if (some.length === 0) break;
      for (const { subject } of some) replies.set(subject, (replies.get(subject) ?? 0) + 1);
    }
    for (const id of wanted) assert.equal(replies.get(id), 1, `replies to ${id}`);
  } finally {
    await bus.close();
  }
}

/** Each once, whoever was told twice: the receiver compares the event's id. */
export async function oneCallbackEach(
  told: readonly { subject?: string }[],
  wanted: ReadonlySet<string>,
): Promise<void> {
  const counts = () => {
    const found = new Map<string, number>();
    for (const { subject = '' } of told) found.set(subject, (found.get(subject) ?? 0) + 1);
    return found;
  };
  await until('every callback', () => counts().size >= wanted.size, endMs);
  for (const id of wanted) assert.equal(counts().get(id), 1, `callbacks for ${id}`);
}

/** Of equal jobs one starts when the one before has ended. */
export function noEqualPair(
  ended: ReadonlyMap<string, Status>,
  accepted: readonly Accepted[],
): void {
  const equal = new Map<number, Set<Status>>();
  for (const { id, n } of accepted) {
    const status = ended.get(id);
    if (status?.type !== 'test.unique-finished') continue;
    equal.set(n % 5, (equal.get(n % 5) ?? new Set()).add(status));
  }
  assert.equal(equal.size, 5);
  for (const jobs of equal.values()) {
    const times = [...jobs].map(({ startedAt = '', finishedAt }) => [
      startedAt,
      String(finishedAt),
    ]);
    times.sort();
    for (const [at, [startedAt = '']] of times.slice(1).entries())
      assert.ok(startedAt >= (times[at]?.[1] ?? ''), `two equal jobs at once: ${times}`);
  }
}

/** Each job of a key added one to what the one before left, and none was lost or counted twice. */
export function totalsAddUp(ended: ReadonlyMap<string, Status>): void {
  const sums = [...ended.values()]
    .filter(({ type }) => type === 'test.total')
    .map(({ result }) => (result as { sum: number }).sum);
  const expected = sums.map((_, at) => at + 1);
  assert.deepEqual(
    sums.sort((a, b) => a - b),
    expected,
    'the state of a key',
  );
}

/** What a process does that is killed ends with it, and nobody else has the locks that it lost. */
const endsRuns = (fault: Fault) =>
  fault.kind === 'kill' && (fault.parts.includes('host') || fault.parts.includes('worker'));

/** While nobody lost the broker's locks, no more of a key ran at once than its limit. */
export async function limitKept(file: string, faults: readonly Fault[]) {
  if (!faults.every(endsRuns)) return;
  const running = new Map<unknown, Set<unknown>>();
  let pid: unknown;
  for (const line of await readLines(file)) {
    // What ran in a process that was killed runs no more.
    if (line['pid'] !== pid) running.clear();
    pid = line['pid'];
    const of = running.get(line['key']) ?? new Set();
    running.set(line['key'], of);
    if (line['what'] === 'begin') of.add(line['n']);
    else of.delete(line['n']);
    assert.ok(of.size <= 3, `${of.size} of key ${line['key']} at once`);
  }
}

/** The same, of order: once another job of the key has begun, the one before has ended. */
export async function orderKept(file: string, faults: readonly Fault[]) {
  if (!faults.every(endsRuns)) return;
  const past = new Map<unknown, unknown[]>();
  for (const { key, n } of await readLines(file)) {
    const before = past.get(key) ?? [];
    past.set(key, before);
    if (before.at(-1) === n) continue;
    assert.ok(!before.includes(n), `${n} of key ${key} began again after another: ${before}`);
    before.push(n);
  }
}

/** A step whose value was kept is never run again; the one under way at a fault may be. */
export async function countRepeats(file: string, blows: number): Promise<number> {
  const counts = new Map<unknown, Map<unknown, number>>();
  for (const { id, step } of await readLines(file)) {
    const of = counts.get(id) ?? new Map<unknown, number>();
    counts.set(id, of.set(step, (of.get(step) ?? 0) + 1));
  }
  let repeats = 0;
  for (const [id, of] of counts) {
    assert.equal(of.size, steps + 1, `${id} left out a step`);
    const extra = [...of.values()].reduce((sum, n) => sum + n - 1, 0);
    assert.ok(extra <= blows, `${id} repeated ${extra} steps for ${blows} faults`);
    repeats += extra;
  }
  return repeats;
}

const everySeconds = 3;
const schedule = 'of-the-round';

/** Due every three seconds, whatever is under way, and none is left out. */
export async function beginSchedule(client: Client): Promise<void> {
  const body = {
    ...{ type: 'test.recurring', input: { of: 'round' }, cron: `*/${everySeconds} * * * * *` },
    ...{ overlap: 'allow', misfire: 'all' },
  };
  await change(client, 'PUT', body);
}

const change = (client: Client, method: string, body: object) =>
  insist(() =>
    client.call(`/schedules/${schedule}`, {
      method,
      headers: {
        'content-type': method === 'PUT' ? 'application/json' : 'application/merge-patch+json',
      },
      body: JSON.stringify(body),
    }),
  );

/** Ends the schedule. Each due time gave one job, and none was left out; answers how many. */
export async function eachOccurrenceOnce(client: Client): Promise<number> {
  const paused = await change(client, 'PATCH', { enabled: false });
  assert.equal(paused.status, 200, await paused.text());
  const times: number[] = [];
  let cursor = '';
  do {
    const page = await read<{ jobs: Status[]; cursor?: string }>(
      client,
      `/jobs?schedule=${schedule}&limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    for (const { id } of page.jobs) times.push(await timeOf(client, id));
    cursor = page.cursor ?? '';
  } while (cursor);
  times.sort((a, b) => a - b);
  for (const [n, time] of times.slice(1).entries())
    assert.equal(
      time - (times[n] ?? 0),
      everySeconds * 1000,
      `due times ${new Date(times[n] ?? 0).toISOString()} and ${new Date(time).toISOString()}`,
    );
  return times.length;
}

async function timeOf(client: Client, id: string): Promise<number> {
  const ended = await endOf(client, id);
  assert.equal(ended.state, 'succeeded', `${id}: ${JSON.stringify(ended.error)}`);
  return Date.parse((ended.result as { scheduledFor: string }).scheduledFor);
}

// After the last fault it takes some locks, and what was handed back comes later each time.
const endMs = 300_000;

export async function endOf(client: Client, id: string): Promise<Status> {
  let last: Status | undefined;
  try {
    return await until(
      `the end of ${id}`,
      async () => {
        last = await read<Status>(client, `/jobs/${id}`);
        return 'finishedAt' in last && last;
      },
      endMs,
    );
  } catch (cause) {
    throw new Error(`${id} does not end: ${JSON.stringify(last)}`, { cause });
  }
}
