import { defineJob } from 'longhaul';
import { z } from 'zod';
import { countPrimes, inThread } from './threads.ts';

export const primes = defineJob({
  type: 'primes',
  input: z.object({ below: z.int().min(3).max(1_000_000_000) }),
  lane: 'heavy',
  timeout: '1h',
  async run({ below }, job) {
    const count = await job.step('count', () => inThread<number>(countPrimes, { below }, job));
    return { count };
  },
});
