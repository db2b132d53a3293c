/** The app under fuzz: what comes with it, and types that take, keep, hold and wait for anything. */
import { z } from 'zod';
import { registerApp } from '#longhaul/app.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { catalogue } from '../../functions/jobs/catalogue.ts';

const quick = { attempts: 2, backoff: { initial: '200ms', jitter: false } } as const;

const any = defineJob({
  ...{ type: 'fuzz.any', formerly: ['fuzz.all'], ...quick, keep: '10m' },
  input: z.unknown(),
  run: async (input) => ({ input }) as { input: string },
});

const keyed = defineJob({
  ...{ type: 'fuzz.keyed', ...quick, limit: 2, keep: '10m' },
  input: z.object({ key: z.string() }),
  key: ({ key }) => key,
  run: async ({ key }) => ({ key }),
});

const single = defineJob({
  ...{ type: 'fuzz.single', ...quick, keep: '10m' },
  input: z.strictObject({ of: z.unknown() }),
  unique: { until: 'finished' },
  priorities: ['urgent'],
  run: async () => ({ done: true }),
});

const waiting = defineJob({
  ...{ type: 'fuzz.waiting', ...quick, keep: '10m' },
  input: z.object({ name: z.string().optional() }),
  events: { told: z.unknown(), named: z.object({ name: z.string().max(10) }) },
  async run({ name }, job) {
    if (name !== undefined) await job.event('told', { timeout: '1h' });
    return job.children('c', [any.with(name)]);
  },
});

registerApp([...catalogue, any, keyed, single, waiting], {
  topology: new URL('../../../topology.json', import.meta.url),
});
