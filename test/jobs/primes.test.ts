import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testJob } from 'longhaul/testing';
import { primes } from './primes.ts';

test('primes are counted in a thread, which says how far it is', async () => {
  const run = testJob(primes, { below: 5_001 });
  assert.deepEqual(await run.result, { count: 669 });
  assert.deepEqual(run.progress, { done: 5_000, of: 5_001 });
});

test('its timeout ends a thread that computes', async () => {
  const run = testJob(primes, { below: 1_000_000_000 });
  await run.until('running');
  await run.skip('1h');
  assert.equal(run.attempt, 2);
  await run.cancel();
  await assert.rejects(run.result, /cancelled/);
});
