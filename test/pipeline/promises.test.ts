/** The promises of a job, for programs of steps and waits that fast-check makes up, among troubles. */
import { test } from 'node:test';
import { check, keepsItsPromises, runsEachStepOnce } from './properties.ts';

// More of them, with other seeds: npm run test:promises.
test('whatever happens, every job keeps the promises and leaves nothing behind', () =>
  check(keepsItsPromises, { numRuns: 250 }));

test('without trouble each step runs once', () => check(runsEachStepOnce, { numRuns: 150 }));
