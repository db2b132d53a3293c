/** One crash round: jobs under way, everything killed with SIGKILL, started again, counted. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

export interface RoundResult {
  accepted: number;
  repeatedSteps: number;
  seconds: number;
}

const steps = 4;

/** @throws AssertionError when a job is lost, ends twice, or repeats a step that was kept. */
export async function crashRound(
  jobs: number,
  /** Resolves at the moment of the kill. */
  moment: (accepted: readonly string[]) => Promise<unknown>,
): Promise<RoundResult> {
  const began = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-crash-'));
  const log = join(folder, 'steps');
  const first = await testStack({ data: join(folder, 'data') });
  const client = createClient(first.url);
  const accepted: string[] = [];
  const endedBefore = new Map<string, unknown>();
  const submitting = Promise.allSettled(
    Array.from({ length: jobs }, async (_, n) => {
      await pause(n * 8);
      const { id } = await client.submit('test.counting', { log, steps, ms: 25 });
      accepted.push(id);
    }),
  );
  await moment(accepted);
  for (const id of accepted.slice(0, 20)) {
    const status = await client.get(id).catch(() => undefined);
    if (status?.state === 'succeeded') endedBefore.set(id, status['finishedAt']);
  }
  for (const { process } of Object.values(first.parts)) process.kill('SIGKILL');
  await submitting;

  const second = await testStack({ ...first.options });
  try {
    const after = createClient(second.url);
    for (const id of accepted) {
      const ended = await after.ended(id, 90_000);
      assert.equal(ended.state, 'succeeded', `${id}: ${JSON.stringify(ended.error)}`);
      assert.deepEqual(ended.result, { total: steps, chosen: id });
      if (endedBefore.has(id))
        assert.equal(ended['finishedAt'], endedBefore.get(id), `${id} ended twice`);
    }
    await allRecordsEnd(after);
    return {
      accepted: accepted.length,
      repeatedSteps: await countRepeats(log),
      seconds: (Date.now() - began) / 1000,
    };
  } finally {
    await second.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Also of those whose acceptance the caller never heard of: no record is left behind. */
async function allRecordsEnd(client: ReturnType<typeof createClient>): Promise<void> {
  await until('the end of every record', async () => {
    const response = await client.call('/jobs?type=test.counting&limit=1000');
    const { jobs } = (await response.json()) as { jobs: Status[] };
    const ids = jobs.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    return jobs.every(({ state }) => state === 'succeeded');
  });
}

/** A step whose value was kept is never run again; the one under way at the kill may be. */
async function countRepeats(log: string): Promise<number> {
  const counts = new Map<string, Map<unknown, number>>();
  for (const line of (await readFile(log, 'utf8')).split('\n').filter(Boolean)) {
    const { id, step } = JSON.parse(line) as { id: string; step: unknown };
    const of = counts.get(id) ?? new Map<unknown, number>();
    counts.set(id, of.set(step, (of.get(step) ?? 0) + 1));
  }
  let repeats = 0;
  for (const [id, of] of counts) {
    const extra = [...of.values()].reduce((sum, n) => sum + n - 1, 0);
    assert.ok(extra <= 1, `${id} repeated ${extra} steps for one kill`);
    repeats += extra;
  }
  return repeats;
}
