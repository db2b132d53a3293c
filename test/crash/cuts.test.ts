import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageFaults } from '../support/proxy.ts';
import { crashRound } from './round.ts';

test('connections cut and storage that fails, while all parts live: every job ends once, as it should', async () => {
  const faults = [
    { kind: 'cut', at: 10, times: 3 },
    { kind: 'storage', at: 30, faults: storageFaults, share: 0.4, forMs: 5_000 },
    { kind: 'cut', at: 50, times: 2 },
  ] as const;
  assert.equal((await crashRound(66, faults)).accepted, 66);
});
