import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';

// `npm run fuzz` looks for longer, each time elsewhere.
test('half a minute of made-up requests and messages breaks nothing', async () => {
  const { requests, messages } = await fuzz(20_261_121, 30_000);
  for (const status of [200, 400, 404]) assert.ok(requests[status], `none was answered ${status}`);
  assert.ok(messages >= 20, `${messages} messages`);
});
