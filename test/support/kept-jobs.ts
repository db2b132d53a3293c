/** Job types of which more or less is kept. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';

const secret = defineJob({
  type: 'test.secret',
  input: z.object({
    card: z.object({ number: z.string(), name: z.string() }),
    say: z.array(z.string()),
    ms: z.number().default(0),
  }),
  redact: ['/card/number'],
  async run({ card, say, ms }, job) {
    for (const line of say) job.log(line);
    await pause(ms, undefined, { signal: job.signal });
    job.log.warn('done', { said: say.length });
    return { last: card.number.slice(-1) };
  },
});

const unkept = defineJob({
  type: 'test.unkept',
  input: z.object({}),
  keepInput: false,
  tags: ['of its type'],
  async run() {
    return {};
  },
});

export const keptJobs = [secret, unkept];
