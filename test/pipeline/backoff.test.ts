import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RetryAfterError } from '#longhaul/errors.js';
import { waitMs } from '#longhaul/fate/backoff.js';
import { fc } from '../support/properties.ts';

const error = new Error('x');
const now = new Date('2026-11-21T12:00:00.000Z');

test('waits grow by the factor up to the maximum', () => {
  const backoff = { initial: '1s', factor: 3, max: '20s', jitter: false } as const;
  const waits = [1, 2, 3, 4, 5].map((attempt) =>
    waitMs(backoff, { attempt, error, random: 0, now }),
  );
  assert.deepEqual(waits, [1_000, 3_000, 9_000, 20_000, 20_000]);
});

test('a function decides by attempt and error', () => {
  const backoff = (attempt: number, { message }: Error) =>
    message === 'x' ? (`${attempt}m` as const) : ('1ms' as const);
  assert.equal(waitMs(backoff, { attempt: 2, error, random: 0, now }), 120_000);
});

test('jitter keeps a wait between half and whole, never beyond the maximum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 1, max: 5 }),
      (attempt, random, factor) => {
        const bare = waitMs(
          { initial: '2s', factor, max: '5m', jitter: false },
          { attempt, error, random: 0, now },
        );
        const wait = waitMs({ initial: '2s', factor, max: '5m' }, { attempt, error, random, now });
        return wait >= bare / 2 - 1 && wait <= bare && wait <= 300_000;
      },
    ),
  );
});

test('an error says when to try again, in any form that a server or an author writes', () => {
  const wait = (retryAfter: number | Date | string) =>
    waitMs(
      { initial: '7s', jitter: false },
      { attempt: 1, error: new RetryAfterError('429', retryAfter), random: 0, now },
    );
  assert.equal(wait(1_500), 1_500);
  assert.equal(wait('30s'), 30_000);
  assert.equal(wait('120'), 120_000);
  assert.equal(wait('Sat, 21 Nov 2026 12:01:00 GMT'), 60_000);
  assert.equal(wait(new Date('2026-11-21T12:00:03.000Z')), 3_000);
  assert.equal(wait(new Date('2026-11-21T11:00:00.000Z')), 0);
  assert.equal(wait('soon'), 7_000, 'what nobody can read leaves the backoff of the type');
});

test('a server that asks for a year is tried again within a day', () => {
  const wait = (retryAfter: number | Date | string) =>
    waitMs(
      { initial: '7s', jitter: false },
      { attempt: 1, error: new RetryAfterError('429', retryAfter), random: 0, now },
    );
  const day = 24 * 3_600_000;
  assert.equal(wait('31536000'), day);
  assert.equal(wait('9'.repeat(400)), day);
  assert.equal(wait(Number.POSITIVE_INFINITY), day);
  assert.equal(wait(new Date('9999-12-31T00:00:00Z')), day);
  assert.equal(wait(Number.NaN), 7_000);
});

test('a function that throws, or answers what is no duration, leaves the default', () => {
  const half = (backoff: () => string) =>
    waitMs(backoff as () => '1s', { attempt: 1, error, random: 0, now });
  assert.equal(
    half(() => 'soon'),
    2_500,
  );
  assert.equal(
    half(() => '99999999999999d'),
    2_500,
  );
  assert.equal(
    half(() => {
      throw new Error('in the backoff');
    }),
    2_500,
  );
});
