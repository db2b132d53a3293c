import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partNames } from '../support/crashable.ts';
import { crashRound } from './round.ts';

// `npm run test:crash -- 50 1000` runs fifty rounds of a thousand jobs, parts and moments by chance.
test('storage, broker, host and worker killed one after the other, then all: every job ends once, as it should', async () => {
  const each = partNames.map(
    (part, n) => ({ kind: 'kill', at: 15 + 20 * n, parts: [part] }) as const,
  );
  const kills = [...each, { kind: 'kill', at: 95, parts: partNames } as const];
  assert.equal((await crashRound(110, kills)).accepted, 110);
});
