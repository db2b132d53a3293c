/** An order: what was charged is paid back if nobody approves, or if it is cancelled later. */
import { defineJob } from 'longhaul';
import { z } from 'zod';

export interface Bank {
  charge(item: string, options: { idempotencyKey: string }): Promise<{ id: string }>;
  refund(charge: string): Promise<void>;
}

export const order = (bank: Bank) =>
  defineJob({
    type: 'order',
    input: z.object({ item: z.string() }),
    events: { approved: z.object({ by: z.string() }) },
    async run({ item }, job) {
      const { id } = await job.step(
        'charge',
        () => bank.charge(item, { idempotencyKey: `${job.id} charge` }),
        { undo: (charge) => bank.refund(charge.id) },
      );
      const { by } = await job.event('approved', { timeout: '2d' });
      await job.sleep('3d');
      await job.files.write('receipt.txt', `${item}: ${id}`, 'text/plain');
      return { item, by };
    },
  });
