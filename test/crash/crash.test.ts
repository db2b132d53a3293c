import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partNames } from '../support/crashable.ts';
import { storageFaults } from '../support/proxy.ts';
import { crashRound } from './round.ts';

// `npm run test:crash -- 50 1000` runs fifty rounds of a thousand jobs, parts and moments by chance.
test('storage, broker, host and worker killed one after the other, then all: every job ends once, as it should', async () => {
  const each = partNames.map(
    (part, n) => ({ kind: 'kill', at: 15 + 20 * n, parts: [part] }) as const,
  );
  const kills = [...each, { kind: 'kill', at: 95, parts: partNames } as const];
  assert.equal((await crashRound(110, kills)).accepted, 110);
});

test('connections cut and storage that fails, while all parts live: every job ends once, as it should', async () => {
  const faults = [
    { kind: 'cut', at: 10, times: 3 },
    { kind: 'storage', at: 30, faults: storageFaults, share: 0.4, forMs: 5_000 },
    { kind: 'cut', at: 50, times: 2 },
  ] as const;
  assert.equal((await crashRound(66, faults)).accepted, 66);
});
