import { defineJob } from 'longhaul';
import { z } from 'zod';

/** A first job: change it, or put your own beside it. */
export const greet = defineJob({
  type: 'greet',
  input: z.object({ names: z.array(z.string()).min(1) }),
  async run({ names }, job) {
    // Done once, whatever happens later: a retry finds it in the checkpoint.
    const greeting = await job.step('choose', async () => 'Hello');
    const greeted: string[] = [];
    for (const name of names) {
      greeted.push(`${greeting}, ${name}`);
      await job.progress({ done: greeted.length, of: names.length });
    }
    return { greeted };
  },
});
