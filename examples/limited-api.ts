/**
 * An API that bears only so much: all calls of it share a key, and `limit` says how many jobs of that key
 * run at once, over all workers. A 429 is heeded: its Retry-After says when the job is tried again.
 *
 * What this does not do: so many calls a second. Two at once that take 50 ms each are 40 calls a second.
 * Where the API counts by time, its 429 is what holds the jobs back, each by itself.
 */
import { defineJob, NonRetryableError, RetryAfterError } from 'longhaul';
import { z } from 'zod';

export const lookUp = (api: string) =>
  defineJob({
    type: 'api.look-up',
    input: z.object({ name: z.string() }),
    output: z.object({ name: z.string(), age: z.number() }),
    key: () => 'api.example.com',
    limit: 2,
    attempts: 20,
    async run({ name }, job) {
      const url = `${api}/?name=${encodeURIComponent(name)}`;
      const response = await fetch(url, { signal: job.signal });
      if (response.ok) return (await response.json()) as { name: string; age: number };
      const why = `${url} answered ${response.status}`;
      if (response.status === 429)
        throw new RetryAfterError(why, response.headers.get('retry-after') ?? '30s');
      if (response.status < 500) throw new NonRetryableError(why);
      throw new Error(why);
    },
  });
