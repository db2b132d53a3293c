import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { testJob } from 'longhaul/testing';
import { createMailer } from './mailer.ts';
import { readSettings } from './settings.ts';
import { welcome } from './welcome.ts';

test('what is missing or wrong is named', () => {
  assert.throws(() => readSettings({ MAIL_URL: 'mail', MAIL_KEY: 'x'.repeat(20) }), /MAIL_URL/);
  assert.equal(
    readSettings({ MAIL_URL: 'https://m', MAIL_KEY: 'x'.repeat(20) }).MAIL_SENDER,
    'Longhaul',
  );
});

test('a mail that is asked for again later is sent under the same key', async () => {
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers['idempotency-key']);
    if (keys.length === 1) response.writeHead(429, { 'retry-after': '60' }).end();
    else response.end('{"id":"m1"}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const mailer = createMailer(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      'key',
    );
    const run = testJob(welcome(mailer, 'Longhaul'), { email: 'ada@example.com' });
    assert.deepEqual(await run.result, { mail: 'm1' });
    assert.deepEqual(keys, [`${run.id} send`, `${run.id} send`]);
  } finally {
    server.close();
  }
});
