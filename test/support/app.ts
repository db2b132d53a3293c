/** The app under test: the real one with job types that misbehave on request. */
import { access, appendFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { registerApp } from '#longhaul/app.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { NonRetryableError } from '#longhaul/errors.js';
import { simulation } from '#longhaul/outbound/simulation.js';
import { catalogue } from '../../functions/jobs/catalogue.ts';
import { carelessJobs } from './careless-jobs.ts';
import { keptJobs } from './kept-jobs.ts';
import { memoryBatch } from './memory-batch.ts';
import { waitingJobs } from './waiting-jobs.ts';

const quick = { initial: '200ms', factor: 3, jitter: false } as const;

const echo = defineJob({
  type: 'test.echo',
  formerly: ['test.parrot'],
  input: z.strictObject({ value: z.unknown() }),
  async run({ value }) {
    return { value } as { value: string };
  },
});

/** Writes each start to `log`, so that a test can count. */
const noted = defineJob({
  type: 'test.noted',
  input: z.object({ log: z.string(), name: z.string(), ms: z.number().default(0) }),
  async run({ log, name, ms }, job) {
    await appendFile(log, `${JSON.stringify({ name, attempt: job.attempt, at: Date.now() })}\n`);
    await pause(ms, undefined, { signal: job.signal });
    return { name };
  },
});

const ofKey = z.object({ log: z.string(), key: z.string(), n: z.number(), ms: z.number() });

async function noteBeginAndEnd({ log, key, n, ms }: z.infer<typeof ofKey>) {
  await appendFile(
    log,
    `${JSON.stringify({ key, n, what: 'begin', pid: process.pid, at: Date.now() })}\n`,
  );
  await pause(ms);
  await appendFile(
    log,
    `${JSON.stringify({ key, n, what: 'end', pid: process.pid, at: Date.now() })}\n`,
  );
  return { n };
}

const keyed = defineJob({
  type: 'test.keyed',
  input: ofKey,
  key: ({ key }) => key,
  run: noteBeginAndEnd,
});

const failing = defineJob({
  type: 'test.failing',
  input: z.object({ log: z.string(), final: z.boolean().default(false) }),
  attempts: 3,
  backoff: quick,
  async run({ log, final }, job): Promise<{ never: true }> {
    await appendFile(log, `${JSON.stringify({ attempt: job.attempt, at: Date.now() })}\n`);
    if (final) throw new NonRetryableError('No use in trying again');
    throw new Error(`Attempt ${job.attempt} fails`, { cause: new TypeError('the cause') });
  },
});

const slow = defineJob({
  type: 'test.slow',
  input: z.object({ ms: z.number(), heeds: z.boolean().default(true) }),
  timeout: '4s',
  attempts: 2,
  backoff: quick,
  async run({ ms, heeds }, job) {
    await pause(ms, undefined, heeds ? { signal: job.signal } : {});
    return { waited: ms };
  },
});

/** Counts to `steps`, a checkpoint each; `log` tells every step that was really done. */
const counting = defineJob({
  type: 'test.counting',
  input: z.object({ log: z.string(), steps: z.number(), ms: z.number() }),
  attempts: 3,
  async run({ log, steps, ms }, job) {
    const first = await job.step('first', async () => {
      await appendFile(log, `${JSON.stringify({ id: job.id, step: 'first' })}\n`);
      return { chosen: job.id };
    });
    const total = await job.checkpoint('count', { at: 0 }, async ({ at }, save) => {
      for (let n = at; n < steps; n++) {
        await pause(ms, undefined, { signal: job.signal });
        await appendFile(log, `${JSON.stringify({ id: job.id, step: n })}\n`);
        await save({ at: n + 1 });
        await job.progress({ done: n + 1, of: steps });
      }
      return steps;
    });
    return { total, chosen: first.chosen };
  },
});

/** Three of a key at once. */
const limited = defineJob({
  type: 'test.limited',
  input: ofKey,
  key: ({ key }) => key,
  limit: 3,
  run: noteBeginAndEnd,
});

/** Runs for `ms`, or fails when asked to; a type for each way of being unique. */
const single = (until: 'started' | 'finished' | 'expiry') =>
  defineJob({
    type: `test.unique-${until}`,
    input: z.object({ of: z.record(z.string(), z.unknown()), log: z.string(), ms: z.number() }),
    unique: { by: ({ of }) => of, until },
    attempts: 1,
    async run({ log, ms, of }, job) {
      await appendFile(log, `${JSON.stringify({ id: job.id })}\n`);
      await pause(ms, undefined, { signal: job.signal });
      if (of['fails']) throw new Error('as asked');
      return { ran: job.id };
    },
  });

/** Fails until the file `fixed` is there; its first step is done once. */
const mended = defineJob({
  type: 'test.mended',
  input: z.object({ log: z.string(), fixed: z.string(), text: z.string().default('') }),
  attempts: 2,
  backoff: quick,
  async run({ log, fixed, text }, job) {
    await job.step('first', async () => {
      await appendFile(log, `${JSON.stringify({ id: job.id })}\n`);
    });
    await access(fixed);
    return { attempt: job.attempt, length: text.length };
  },
});

const large = defineJob({
  type: 'test.large',
  input: z.object({ text: z.string(), repeat: z.number() }),
  async run({ text, repeat }) {
    return { length: text.length, text: 'x'.repeat(repeat) };
  },
});

/** May be asked for on another lane. */
const prioritised = defineJob({
  type: 'test.prioritised',
  input: z.object({ log: z.string(), name: z.string(), ms: z.number().default(0) }),
  lane: 'standard',
  priorities: ['urgent', 'bulk'],
  async run({ log, name, ms }, job) {
    await appendFile(log, `${JSON.stringify({ name })}\n`);
    await pause(ms, undefined, { signal: job.signal });
    return { name };
  },
});

const shortlived = defineJob({
  type: 'test.shortlived',
  input: z.object({}),
  keep: '1s',
  async run(_, job) {
    await job.files.write('a.txt', 'a');
    return { done: true };
  },
});

/** Ends its worker process, a moment after it began. */
const deadly = defineJob({
  type: 'test.deadly',
  input: z.object({ ms: z.number().default(0), code: z.number().default(1) }),
  timeout: '20s',
  crashes: 2,
  async run({ ms, code }): Promise<{ never: true }> {
    await pause(ms);
    return process.exit(code);
  },
});

const recurring = defineJob({
  type: 'test.recurring',
  input: z.object({ of: z.string() }),
  schedules: [
    { id: 'every-five-seconds', cron: '*/5 * * * * *', input: { of: 'five' } },
    { id: 'in-amsterdam', cron: '0 9 * * *', timeZone: 'Europe/Amsterdam', input: { of: 'nine' } },
  ],
  async run({ of }, job) {
    return { of, scheduledFor: job.scheduledFor?.toISOString() ?? '' };
  },
});

const events = process.env['TEST_EVENTS'];
const happenings = [
  ...['enqueued', 'started', 'progress', 'retried', 'succeeded', 'failed', 'dead-lettered'],
  ...['cancelled', 'expired'],
] as const;
/** Notes every event, then fails. */
const on = Object.fromEntries(
  happenings.map((what) => [
    what,
    async (event: { type: string; subject?: string }) => {
      if (events) await appendFile(events, `${JSON.stringify(event)}\n`);
      if (events) throw new Error('the listener fails');
    },
  ]),
);

const all = [
  ...catalogue,
  ...keptJobs,
  ...waitingJobs,
  ...carelessJobs,
  mended,
  limited,
  single('started'),
  single('finished'),
  single('expiry'),
  echo,
  noted,
  keyed,
  failing,
  slow,
  counting,
  large,
  deadly,
  prioritised,
  shortlived,
  recurring,
  simulation(memoryBatch()),
];
registerApp(all, { topology: new URL('../../../topology.json', import.meta.url), on });
