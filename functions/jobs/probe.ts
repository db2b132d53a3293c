/**
 * What `npm run doctor` submits: jobs that do nothing themselves and use what a deployment has to provide.
 * An app without them is checked less.
 */

import { defineJob } from 'longhaul';
import { z } from 'zod';

// What it says in return shows which job it was.
const mark = z.string().min(1).max(64);
const policy = { timeout: '1m', attempts: 2, keep: '1h' } as const;

export const probe = defineJob({
  type: 'probe',
  input: z.strictObject({ mark, waits: z.boolean().default(false) }),
  events: { go: z.object({}) },
  ...policy,
  async run(asked, job) {
    if (asked.waits) await job.event('go', { timeout: '10m' });
    return { mark: asked.mark };
  },
});

export const keyedProbe = defineJob({
  type: 'probe.keyed',
  input: z.strictObject({ mark }),
  key: (asked) => asked.mark,
  ...policy,
  async run(_, job) {
    const times = ((await job.session.get<number>()) ?? 0) + 1;
    await job.session.set(times);
    return { times };
  },
});
