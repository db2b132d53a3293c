/** What nobody but its owner is to read stands in no log and in no list. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('secrets in queries, headers, inputs, messages and settings are not logged, and not listed', async () => {
  const planted = `planted${Math.random().toString(36).slice(2, 10)}`;
  const run = fileURLToPath(new URL('../support/secrets-run.js', import.meta.url));
  const child = spawn(process.execPath, [run], {
    env: { ...process.env, PLANTED: planted, NODE_TEST_CONTEXT: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += String(chunk);
    });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, output.slice(-2_000));
  assert.match(output, /ANSWERED 400,404,400,422,422,400,/);
  assert.match(output, /answered 410/, 'the log tells of the calls that failed');
  // The job that returns what it is given is listed with it: that is its result.
  const told = output.split('\n').filter((line) => !line.startsWith('LISTED '));
  const listed = output.split('\n').find((line) => line.startsWith('LISTED ')) ?? '';
  assert.deepEqual(
    told.filter((line) => line.includes(planted)),
    [],
  );
  assert.deepEqual(
    [...listed.matchAll(new RegExp(`.{0,60}${planted}`, 'g'))]
      .map(([text]) => text)
      .filter((text) => !/"result":\{"value":"planted/.test(text)),
    [],
  );
});
