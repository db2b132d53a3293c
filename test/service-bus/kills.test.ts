import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

// `npm run test:bus-kills -- 100` kills it a hundred times. A process of its own: the SDK's clients of
// brokers that are gone would keep this one alive for a while.
test('killed five times under load: nothing acknowledged is lost, nothing completed comes again', async () => {
  const command = fileURLToPath(new URL('kills-main.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [command, '5']);
  const { acknowledged } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
    acknowledged: number;
  };
  assert.ok(acknowledged > 20, `only ${acknowledged} messages went through`);
});
