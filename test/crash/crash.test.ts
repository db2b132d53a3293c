import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partNames } from '../support/crashable.ts';
import { crashRound } from './round.ts';

// `npm run test:crash -- 50 1000` runs fifty rounds of a thousand jobs, parts and moments by chance.
test('all parts killed twice: every job ends once, as it should', async () => {
  const crashes = [30, 90].map((at) => ({ at, parts: partNames }));
  assert.equal((await crashRound(132, crashes)).accepted, 132);
});

test('storage, broker, host and worker killed one after the other: every job ends once, as it should', async () => {
  const crashes = partNames.map((part, n) => ({ at: 25 + 25 * n, parts: [part] }));
  assert.equal((await crashRound(132, crashes)).accepted, 132);
});
