/**
 * An app whose jobs stand still in every way that a job can: what an earlier version wrote of them has to be
 * read by this one. It changes only together with a new recording (record.ts).
 */
import { z } from 'zod';
import { registerApp } from '#longhaul/app.js';
import { type Catalogue, defineJob } from '#longhaul/define/define-job.js';
import { NonRetryableError } from '#longhaul/errors.js';

const { env } = process;
const lane = 'bulk';
const keep = '3650d';
const number = z.strictObject({ n: z.number() });

const plain = defineJob({
  ...{ type: 'kept.plain', input: number, lane, keep },
  run: async ({ n }) => ({ next: n + 1 }),
});

const large = defineJob({
  ...{ type: 'kept.large', input: z.strictObject({ text: z.string() }), lane, keep },
  run: async ({ text }) => ({ chars: text.length }),
});

const keyed = defineJob({
  ...{ type: 'kept.keyed', input: z.strictObject({ key: z.string(), n: z.number() }), lane, keep },
  key: ({ key }) => key,
  async run({ n }, job) {
    const seen = [...((await job.session.get<number[]>()) ?? []), n];
    await job.session.set(seen);
    return { seen };
  },
});

const event = defineJob({
  ...{ type: 'kept.event', input: number, keep },
  events: { go: z.object({ by: z.string() }) },
  async run({ n }, job) {
    const drawn = await job.step('draw', async () => `${n} in the first run`);
    const { by } = await job.event('go');
    return { drawn, by };
  },
});

const sleep = defineJob({
  ...{ type: 'kept.sleep', input: number, keep },
  async run({ n }, job) {
    await job.sleep('1h');
    return { n };
  },
});

const family = defineJob({
  ...{ type: 'kept.family', input: number, keep },
  async run({ n }, job) {
    const parts = Array.from({ length: n }, (_, part) => plain.with({ n: part }));
    const ended = await job.children('parts', parts);
    return { sum: ended.reduce((sum, { next }) => sum + next, 0) };
  },
});

const again = defineJob({
  ...{ type: 'kept.again', input: number, keep, attempts: 3 },
  backoff: { initial: '1h', jitter: false },
  async run({ n }, job) {
    const drawn = await job.step('draw', async () => `${n} in attempt ${job.attempt}`);
    if (job.attempt === 1) throw new Error('Attempt 1 fails.');
    return { drawn, attempt: job.attempt };
  },
});

const unique = defineJob({
  ...{ type: 'kept.unique', input: number, keep },
  unique: { until: 'finished' },
  events: { go: z.object({}) },
  async run({ n }, job) {
    await job.event('go');
    return { n };
  },
});

const ended = defineJob({
  ...{ type: 'kept.ended', input: number, keep },
  run: async ({ n }) => ({ text: 'x'.repeat(n) }),
});

const failed = defineJob({
  ...{ type: 'kept.failed', input: number, keep },
  async run({ n }) {
    if (env['KEPT_FAILS']) throw new NonRetryableError('It was too early.');
    return { n };
  },
});

const all: Catalogue = [
  ...[plain, large, keyed, event, sleep],
  ...[family, again, unique, ended, failed],
];
registerApp(all, { topology: new URL('../../../../topology.json', import.meta.url) });
