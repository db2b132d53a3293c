/** The app that answers: a job type like any other, and its type for whoever calls it. */
import { defineJob } from 'longhaul';
import { z } from 'zod';

const prices: Record<string, number> = { book: 12, lamp: 40 };

export const quote = defineJob({
  type: 'shop.quote',
  input: z.object({ item: z.string(), count: z.int().min(1) }),
  lane: 'urgent',
  attempts: 2,
  async run({ item, count }) {
    const price = prices[item];
    return price === undefined ? { known: false, euros: 0 } : { known: true, euros: price * count };
  },
});
