/** Misfire, jitter, bounds, and runs that nobody hears of. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';
import type { Schedule } from '#longhaul/model/schedule.js';
import { putSchedule } from '#longhaul/schedules/change.js';
import { ended, plan } from '#longhaul/schedules/plan.js';
import { tick } from '#longhaul/schedules/tick.js';
import { World } from '../pipeline/world/world.ts';

const hourly: Schedule = {
  id: 's',
  type: 't',
  input: {},
  cron: '0 * * * *',
  overlap: 'allow',
  misfire: 'once',
  enabled: true,
  createdAt: '2026-11-20T00:00:00.000Z',
  nextAt: '2026-11-21T03:00:00.000Z',
  counts: { runs: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 },
  history: [],
};
// Nobody looked between three and eight.
const now = new Date('2026-11-21T08:00:05Z');
const soon = new Date('2026-11-21T08:00:20Z');
const hours = (schedule: Partial<Schedule>) => {
  const made = plan({ ...hourly, ...schedule }, now, soon);
  return { ...made, at: made.send.map(({ at }) => at.getUTCHours()) };
};

describe('due times that were missed', () => {
  for (const [misfire, at, missed] of [
    ['skip', [8], 5],
    ['once', [7, 8], 4],
    ['all', [3, 4, 5, 6, 7, 8], 0],
  ] as const)
    test(`misfire '${misfire}'`, () => {
      const made = hours({ misfire });
      assert.deepEqual(made.at, at);
      assert.equal(made.schedule.counts.missed, missed);
      assert.equal(made.schedule.nextAt, '2026-11-21T09:00:00.000Z');
      assert.equal(
        made.schedule.history.some(({ state }) => state === 'missed'),
        missed > 0,
      );
    });

  test("misfire 'all' catches up a hundred at most", () => {
    const everyMinute = { cron: '* * * * *', misfire: 'all' } as const;
    const made = hours(everyMinute);
    assert.equal(made.send.length, 101);
    assert.equal(made.schedule.counts.missed + made.send.length, 301);
  });
});

test('jitter gives the same start for the same due time, within its span', () => {
  const starts = new Set<number>();
  for (let n = 0; n < 50; n++) {
    const schedule = { ...hourly, id: `s${n}`, nextAt: now.toISOString(), jitter: '10m' } as const;
    const [first] = plan(schedule, now, soon).send;
    const [again] = plan(schedule, now, soon).send;
    assert.ok(first && again);
    assert.equal(first.runAt.getTime(), again.runAt.getTime());
    const after = first.runAt.getTime() - first.at.getTime();
    assert.ok(after >= 0 && after < 600_000, `${after} ms after`);
    starts.add(after);
  }
  assert.ok(starts.size > 45);
});

test('the history and the ends that were told early have twenty each', () => {
  const { schedule } = hours({ cron: '* * * * *', misfire: 'all' });
  assert.equal(schedule.history.length, 20);
  assert.equal(schedule.history.at(-1)?.at, '2026-11-21T08:00:00.000Z');
  let told: Schedule = hourly;
  for (let n = 0; n < 25; n++) {
    told = ended(told, { job: `job ${n}`, state: 'succeeded', at: now }, now);
    assert.equal(told.early?.length, Math.min(n + 1, 20));
  }
  assert.equal(told.early?.at(-1)?.job, 'job 24');
});

test('a schedule that has ended, or is paused, sends nothing more', () => {
  assert.deepEqual(hours({ misfire: 'all', endsAt: '2026-11-21T05:00:00.000Z' }).at, [3, 4, 5]);
  const over = hours({ misfire: 'all', endsAt: '2026-11-21T05:00:00.000Z' }).schedule;
  assert.equal(over.nextAt, undefined);
  assert.deepEqual(hours({ enabled: false }).at, []);
});

test('a schedule in the code whose input does not fit holds up no other', async () => {
  const types = (['bad', 'good'] as const).map((id) =>
    defineJob({
      type: id,
      // A schema that waits is not asked when the app starts.
      input: z.object({ n: z.number().refine(async (n) => n > 0) }),
      schedules: [{ id, cron: '* * * * *', input: { n: id === 'good' ? 1 : -1 } }],
      run: async () => ({}),
    }),
  );
  const world = new World(types, () => 'none');
  const told: string[] = [];
  const app = { ...world.app(), log: (_: string, text: string) => void told.push(text) };
  for (let minute = 0; minute < 3; minute++) {
    await tick(app);
    world.now += 60_000;
  }
  assert.deepEqual(
    world.schedules.all.map(({ id }) => id),
    ['good'],
  );
  assert.equal(world.records.length, 1, 'its job is sent');
  assert.match(told[0] ?? '', /schedule bad: The input does not fit/);
});

describe('a run that nothing is heard of', () => {
  const type = defineJob({ type: 't', input: z.object({}), run: async () => ({}) });

  /** A world whose messages are lost; answers what ticks over `minutes` make of the schedule. */
  async function silent(minutes: number, onTick?: (world: World) => void) {
    const world = new World([type], () => 'none');
    const app = world.app();
    app.queue.send = async () => undefined;
    await putSchedule(app, 's', { ...hourly, overlap: 'skip', cron: '*/5 * * * *' });
    for (let at = 0; at < minutes; at += 1) {
      world.now += 60_000;
      onTick?.(world);
      await tick(app);
    }
    const [schedule] = world.schedules.all;
    assert.ok(schedule);
    return schedule;
  }

  test('holds the schedule while its job may still run', async () => {
    const schedule = await silent(60);
    assert.equal(schedule.counts.runs, 1);
    assert.equal(schedule.history[0]?.state, 'running');
    assert.equal(schedule.counts.skipped, 11);
    const { watchAt = '' } = schedule.running ?? {};
    assert.ok(watchAt > '2026-11-21T13:00:00.000Z', `looked up again at ${watchAt}`);
  });

  test('is looked up: its job has ended, and only the word of it was lost', async () => {
    const schedule = await silent(60, (world) => {
      const finishedAt = new Date(world.now).toISOString();
      for (const record of world.records)
        world.change({ ...record, state: 'succeeded', finishedAt, keepUntil: '2099-01-01' });
    });
    assert.ok(schedule.counts.succeeded >= 4, JSON.stringify(schedule.counts));
  });

  test('is given up when its job has taken longer than it can', async () => {
    const schedule = await silent(60 * 4);
    assert.ok(schedule.history.some(({ state }) => state === 'lost'));
    assert.ok(schedule.counts.runs >= 2);
  });
});
