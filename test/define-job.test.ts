/** What the compiler refuses in a definition; that it does is checked by `tsc`, which takes no needless `@ts-expect-error`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';

const input = z.object({ n: z.number() });

test('what JSON does not give back is refused where it stands', () => {
  const types = [
    defineJob({
      type: 'a',
      input,
      // @ts-expect-error: a Date in the result
      run: async () => ({ at: new Date() }),
    }),
    defineJob({
      type: 'b',
      input,
      // @ts-expect-error: an output that is no JSON
      output: z.object({ at: z.date() }),
      run: async () => ({ at: new Date() }),
    }),
    defineJob({
      type: 'c',
      // @ts-expect-error: an input that no caller can send
      input: z.object({ at: z.date() }),
      run: async () => 1,
    }),
    defineJob({
      type: 'd',
      input,
      async run({ n }, job) {
        // @ts-expect-error: a Map in a step
        const kept = await job.step('map', async () => new Map([[n, n]]));
        return (kept as Map<number, number>).size;
      },
    }),
  ];
  assert.equal(types.length, 4);
});

test('an input may be read into what is no JSON, and an output may be checked', () => {
  const type = defineJob({
    type: 'e',
    input: z.object({ from: z.coerce.date<string>() }),
    output: z.object({ year: z.number() }),
    run: async ({ from }) => ({ year: from.getFullYear() }),
  });
  assert.deepEqual(type.with({ from: '2026-01-01' }).input, { from: '2026-01-01' });
  // @ts-expect-error: a caller sends text
  type.with({ from: new Date() });
});
