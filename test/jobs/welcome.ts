import { defineJob } from 'longhaul';
import { z } from 'zod';

export interface Mailer {
  send(to: string, text: string, options: { idempotencyKey: string }): Promise<{ id: string }>;
}

/** What a job needs from outside comes in as an argument: a client, a setting. */
export const welcome = (mailer: Mailer, sender: string) =>
  defineJob({
    type: 'welcome',
    input: z.object({ email: z.email() }),
    async run({ email }, job) {
      const mail = await job.step('send', () =>
        mailer.send(email, `Welcome, says ${sender}`, { idempotencyKey: `${job.id} send` }),
      );
      return { mail: mail.id };
    },
  });
