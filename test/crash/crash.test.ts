import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/until.ts';
import { crashRound } from './round.ts';

// `npm run test:crash` runs twenty rounds with a hundred jobs each, at random moments.
for (const count of [15, 45])
  test(`killed when ${count} of sixty jobs are accepted, the stack finishes every one it accepted`, async () => {
    const moment = (accepted: readonly string[]) =>
      until(`${count} accepted`, () => accepted.length >= count);
    assert.ok((await crashRound(60, moment)).accepted >= count);
  });
