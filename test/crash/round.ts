/** One crash round: a mixed load under way, parts killed and started again or frozen, all counted. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { createClient, type Status } from '../support/client.ts';
import { crashableStack, type Part } from '../support/crashable.ts';
import { readLines } from '../support/lines.ts';
import { until } from '../support/until.ts';
import { insist, kinds, steps } from './load.ts';

export interface RoundResult {
  accepted: number;
  repeatedSteps: number;
  seconds: number;
}

interface Accepted {
  id: string;
  kind: number;
  n: number;
}

export interface Crash {
  /** When so many of the jobs are accepted. */
  at: number;
  parts: readonly Part[];
  /** Not killed but frozen, for so long. */
  frozenMs?: number;
}

// A frozen part must outlive every lock; a minute each would be too long to try often.
const shortLock = 'PT5S';
// As in topology.json each round would wait a minute for the last lock of a part that is gone.
const roundsLock = 'PT15S';

/** @throws AssertionError when a promise is broken */
export async function crashRound(jobs: number, crashes: readonly Crash[]): Promise<RoundResult> {
  const began = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-crash-'));
  const isFrozen = crashes.some(({ frozenMs }) => frozenMs !== undefined);
  const stack = await crashableStack(join(folder, 'data'), {
    lockDuration: isFrozen ? shortLock : roundsLock,
  });
  try {
    const client = createClient(stack.url);
    const accepted: Accepted[] = [];
    const all = kinds(folder);
    const submitting = submitAll(client, all, jobs, accepted);
    for (const { at, parts, frozenMs } of crashes) {
      await until(`${at} accepted`, () => accepted.length >= at);
      await (frozenMs === undefined ? stack.crash(parts) : stack.freeze(parts, frozenMs));
    }
    await submitting;
    const ended = new Map<string, Status>();
    for (const { id, kind, n } of accepted) {
      const status = await endOf(client, id);
      all[kind]?.check(status, n);
      ended.set(id, status);
    }
    await allEnd(client);
    await oneReplyEach(stack.serviceBus, accepted);
    noEqualPair(ended, accepted);
    await limitKept(join(folder, 'limited'), crashes);
    return {
      accepted: accepted.length,
      repeatedSteps: await countRepeats(join(folder, 'counting'), crashes.length),
      seconds: (Date.now() - began) / 1000,
    };
  } finally {
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function submitAll(
  client: ReturnType<typeof createClient>,
  all: ReturnType<typeof kinds>,
  jobs: number,
  accepted: Accepted[],
): Promise<void> {
  await Promise.all(
    Array.from({ length: jobs }, async (_, at) => {
      await pause(at * 8);
      const [kind, n] = [at % all.length, Math.floor(at / all.length)];
      const { type, input, afterwards } = all[kind] ?? assert.fail();
      const body = { type, input: input(n), replyTo: 'replies', correlationId: `c${at}` };
      const response = await insist(() => client.post(body, { 'idempotency-key': `job ${at}` }));
      const status = (await response.json()) as Status;
      assert.ok(response.ok, JSON.stringify(status));
      accepted.push({ id: status.id, kind, n });
      await afterwards?.(client, status.id);
    }),
  );
}

const endOf = (client: ReturnType<typeof createClient>, id: string): Promise<Status> =>
  until(
    `the end of ${id}`,
    async () => {
      const response = await insist(() => client.call(`/jobs/${id}`));
      const status = (await response.json()) as Status;
      return 'finishedAt' in status && status;
    },
    150_000,
  );

/** Also children, and those of whose acceptance the caller never heard. */
async function allEnd(client: ReturnType<typeof createClient>): Promise<void> {
  await until('the end of every record', async () => {
    for (const state of ['scheduled', 'queued', 'running', 'waiting']) {
      const response = await insist(() => client.call(`/jobs?state=${state}&limit=1000`));
      const { jobs } = (await response.json()) as { jobs: Status[] };
      if (jobs.some(({ type }) => type.startsWith('test.') && type !== 'test.recurring'))
        return false;
    }
    return true;
  });
}

/** None twice: the reply's id follows from the job. */
async function oneReplyEach(connection: string, accepted: readonly Accepted[]): Promise<void> {
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

/** Of equal jobs one starts when the one before has ended. */
function noEqualPair(ended: ReadonlyMap<string, Status>, accepted: readonly Accepted[]): void {
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

/** While nobody lost the broker's locks, no more of a key ran at once than its limit. */
async function limitKept(file: string, crashes: readonly Crash[]) {
  const endsRuns = ({ parts, frozenMs }: Crash) =>
    frozenMs === undefined && (parts.includes('host') || parts.includes('worker'));
  if (!crashes.every(endsRuns)) return;
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

/** A step whose value was kept is never run again; the one under way at a kill may be. */
async function countRepeats(file: string, crashes: number): Promise<number> {
  const counts = new Map<unknown, Map<unknown, number>>();
  for (const { id, step } of await readLines(file)) {
    const of = counts.get(id) ?? new Map<unknown, number>();
    counts.set(id, of.set(step, (of.get(step) ?? 0) + 1));
  }
  let repeats = 0;
  for (const [id, of] of counts) {
    assert.equal(of.size, steps + 1, `${id} left out a step`);
    const extra = [...of.values()].reduce((sum, n) => sum + n - 1, 0);
    assert.ok(extra <= crashes, `${id} repeated ${extra} steps for ${crashes} crashes`);
    repeats += extra;
  }
  return repeats;
}
