import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partNames } from '../support/crashable.ts';
import { storageFaults } from '../support/proxy.ts';
import { crashRound } from './round.ts';

// `npm run test:crash -- 50 1000` runs fifty rounds of a thousand jobs, parts and moments by chance.
test('all parts killed twice: every job ends once, as it should', async () => {
  const kills = [20, 45].map((at) => ({ kind: 'kill', at, parts: partNames }) as const);
  assert.equal((await crashRound(66, kills)).accepted, 66);
});

test('storage, broker, host and worker killed one after the other: every job ends once, as it should', async () => {
  const kills = partNames.map(
    (part, n) => ({ kind: 'kill', at: 25 + 25 * n, parts: [part] }) as const,
  );
  assert.equal((await crashRound(132, kills)).accepted, 132);
});

test('connections cut and storage that fails, while all parts live: every job ends once, as it should', async () => {
  const faults = [
    { kind: 'cut', at: 10, times: 3 },
    { kind: 'storage', at: 30, faults: storageFaults, share: 0.4, forMs: 5_000 },
    { kind: 'cut', at: 50, times: 2 },
  ] as const;
  assert.equal((await crashRound(66, faults)).accepted, 66);
});
