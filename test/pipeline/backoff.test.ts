import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitMs } from '../../functions/pipeline/backoff.ts';
import { fc } from '../support/properties.ts';

const error = new Error('x');

test('waits grow by the factor up to the maximum', () => {
  const backoff = { initial: '1s', factor: 3, max: '20s', jitter: false } as const;
  const waits = [1, 2, 3, 4, 5].map((attempt) => waitMs(backoff, attempt, error, 0));
  assert.deepEqual(waits, [1_000, 3_000, 9_000, 20_000, 20_000]);
});

test('a function decides by attempt and error', () => {
  const backoff = (attempt: number, { message }: Error) =>
    message === 'x' ? (`${attempt}m` as const) : ('1ms' as const);
  assert.equal(waitMs(backoff, 2, error, 0), 120_000);
});

test('jitter keeps a wait between half and whole, never beyond the maximum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 1, max: 5 }),
      (attempt, random, factor) => {
        const bare = waitMs({ initial: '2s', factor, max: '5m', jitter: false }, attempt, error, 0);
        const wait = waitMs({ initial: '2s', factor, max: '5m' }, attempt, error, random);
        return wait >= bare / 2 - 1 && wait <= bare && wait <= 300_000;
      },
    ),
  );
});
