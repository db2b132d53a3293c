import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRounds } from './kills.ts';

// `npm run test:bus-kills -- 100` kills it a hundred times.
test('killed five times under load: nothing acknowledged is lost, nothing completed comes again', async () => {
  const { acknowledged } = await killRounds(5);
  assert.ok(acknowledged > 100, `only ${acknowledged} messages went through`);
});
