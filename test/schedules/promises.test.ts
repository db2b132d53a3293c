/** Schedules among schedulers that die between any two lines and look two at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';
import { hasEnded, type JobRecord } from '#longhaul/model/job-record.js';
import type { Schedule, ScheduleDefinition } from '#longhaul/model/schedule.js';
import { putSchedule } from '#longhaul/schedules/change.js';
import { type Trouble, World } from '../pipeline/world/world.ts';
import { fc } from '../support/properties.ts';

const minute = 60_000;
const lasting = defineJob({
  type: 'lasting',
  input: z.object({ minutes: z.number() }),
  backoff: { initial: '1s' },
  async run({ minutes }, job) {
    if (minutes > 0) await job.sleep(`${minutes}m`);
    return { done: true };
  },
});

const troubles = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: fc.constant<Trouble>('none') },
    fc.constantFrom<Trouble>('dies before', 'dies after', 'answer lost', 'another works'),
  ),
  { maxLength: 150 },
);

/** Two hours of one schedule. */
async function live(definition: Partial<ScheduleDefinition>, minutes: number, story: Trouble[]) {
  let call = 0;
  const world = new World([lasting], () => story[call++] ?? 'none');
  const began = world.now;
  const base = { type: 'lasting', overlap: 'skip', misfire: 'all', enabled: true } as const;
  await putSchedule(world.app(), 's', { ...base, ...definition, input: { minutes } });
  await world.runWithScheduler(began + 120 * minute, () => 0);
  const [schedule] = world.schedules.all;
  assert.ok(schedule);
  assert.deepEqual(world.violations, []);
  const jobs = world.records.toSorted((a, b) => dueOf(a) - dueOf(b));
  for (const { id, state } of jobs) if (hasEnded(state)) assert.equal(world.ends.get(id), 1);
  return { schedule, jobs, due: jobs.map((job) => (dueOf(job) - began) / minute) };
}

const dueOf = ({ scheduledFor = '' }: JobRecord) => Date.parse(scheduledFor);
const endOf = ({ finishedAt }: JobRecord) => (finishedAt ? Date.parse(finishedAt) : Infinity);
const counted = ({ counts, pending }: Schedule) =>
  counts.runs + counts.skipped + counts.missed + (pending ? 1 : 0);

const every = (count: number, step: number) =>
  Array.from({ length: count }, (_, n) => (n + 1) * step);
const numRuns = Number(process.env['RUNS'] ?? 40);

test('each due time gives exactly one job, however the scheduler dies', async () => {
  await fc.assert(
    fc.asyncProperty(troubles, async (story) => {
      const { due, schedule } = await live({ cron: '*/3 * * * *', overlap: 'allow' }, 10, story);
      assert.deepEqual(due.slice(0, 39), every(39, 3));
      assert.equal(schedule.counts.runs, due.length);
      assert.ok(schedule.counts.succeeded >= 30, `${schedule.counts.succeeded} were told`);
    }),
    { numRuns },
  );
});

test("overlap 'skip': no two at once, and each due time is run or said to be skipped", async () => {
  await fc.assert(
    fc.asyncProperty(troubles, async (story) => {
      const { jobs, schedule } = await live({ cron: '*/3 * * * *', overlap: 'skip' }, 7, story);
      for (const [at, job] of jobs.slice(1).entries())
        assert.ok(
          Date.parse(job.startedAt ?? job.createdAt) >= endOf(jobs[at] ?? job),
          'two at once',
        );
      assert.ok(jobs.length >= 10, `${jobs.length} runs`);
      assert.ok(
        counted(schedule) >= 39 && counted(schedule) <= 40,
        JSON.stringify(schedule.counts),
      );
      assert.ok(schedule.counts.skipped > 0);
    }),
    { numRuns },
  );
});

test("overlap 'queue': one waits for the end of the run before it", async () => {
  await fc.assert(
    fc.asyncProperty(troubles, async (story) => {
      const { jobs, schedule } = await live({ cron: '*/3 * * * *', overlap: 'queue' }, 7, story);
      for (const [at, job] of jobs.slice(1).entries()) {
        const before = endOf(jobs[at] ?? job);
        assert.ok(Date.parse(job.createdAt) >= before, 'two at once');
        // It was due while the one before it ran, and is sent when that ends.
        assert.ok(dueOf(job) <= before + 3 * minute);
      }
      assert.ok(jobs.length >= 14, `${jobs.length} runs`);
      assert.ok(
        counted(schedule) >= 39 && counted(schedule) <= 40,
        JSON.stringify(schedule.counts),
      );
    }),
    { numRuns },
  );
});

test("'every' counts from the end of a run, however short", async () => {
  await fc.assert(
    fc.asyncProperty(troubles, fc.constantFrom(0, 4), async (story, minutes) => {
      const { jobs, schedule } = await live({ every: '5m' }, minutes, story);
      for (const [at, job] of jobs.slice(1).entries())
        assert.equal(dueOf(job) - endOf(jobs[at] ?? job), 5 * minute);
      const runs = Math.floor(120 / (5 + minutes + 1));
      assert.ok(jobs.length >= runs, `${jobs.length} runs`);
      assert.ok(schedule.counts.succeeded >= jobs.length - 1, 'each end was told');
    }),
    { numRuns },
  );
});

test('an end that is told before the run is on record counts', async () => {
  await fc.assert(
    fc.asyncProperty(troubles, async (story) => {
      const { jobs, schedule } = await live({ cron: '* * * * *', overlap: 'allow' }, 0, story);
      const ended = jobs.filter(({ state }) => state === 'succeeded').length;
      assert.ok(ended >= 118);
      assert.equal(schedule.counts.succeeded, ended);
    }),
    { numRuns },
  );
});
