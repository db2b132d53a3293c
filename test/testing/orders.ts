/** A job with all that a job can have: steps that are undone, an event, a sleep, a file, retries. */
import { defineJob, NonRetryableError } from 'longhaul';
import { z } from 'zod';

export interface Shop {
  charge(item: string, key: string): Promise<{ id: string }>;
  refund(id: string): Promise<void>;
  ship(item: string): Promise<{ parcel: string }>;
}

export const orders = (shop: Shop) =>
  defineJob({
    type: 'orders',
    input: z.object({ item: z.string() }),
    events: { approved: z.object({ by: z.string() }) },
    backoff: { initial: '10s', jitter: false },
    async run({ item }, job) {
      const { id } = await job.step('charge', () => shop.charge(item, `${job.id} charge`), {
        undo: (charge) => shop.refund(charge.id),
      });
      const { by } = await job.event('approved', { timeout: '2d' });
      if (by === 'nobody') throw new NonRetryableError('Nobody may approve.');
      await job.sleep('3d');
      const { parcel } = await job.step('ship', () => shop.ship(item));
      await job.files.write('receipt.txt', `${item}: ${id}`, 'text/plain');
      job.log(`shipped ${parcel}`);
      return { parcel, by };
    },
  });

/** A shop that remembers what it was asked for. */
export function createShop() {
  const done: string[] = [];
  const shop: Shop = {
    async charge(item) {
      done.push(`charge ${item}`);
      return { id: 'c1' };
    },
    async refund(id) {
      done.push(`refund ${id}`);
    },
    async ship(item) {
      done.push(`ship ${item}`);
      return { parcel: 'p1' };
    },
  };
  return { done, shop };
}
