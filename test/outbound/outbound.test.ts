/** Calls to somebody else's addresses, without a stack: what they may reach, and what an answer means. */
import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, mock, test } from 'node:test';
import type { z } from 'zod';
import { NonRetryableError, RetryAfterError } from '#longhaul/errors.js';
import { after as afterMs, timeoutSignal } from '#longhaul/long-timer.js';
import { checkUrl } from '#longhaul/outbound/address.js';
import { callback, webCall } from '#longhaul/outbound/built-in.js';
import { callOut } from '#longhaul/outbound/call.js';

const outbound = {
  allowed: ['127.0.0.0/8'],
  secret: [`whsec_${Buffer.from('a secret of the test, 32 bytes..').toString('base64')}`],
  secrets: new Map(),
  headers: new Map(),
};
const answers = new Map<string, (response: ServerResponse) => void>();
const asked: string[] = [];
let server: Server;
let url: string;
before(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = answers.get(request.url ?? '');
    if (answer) answer(response);
    else response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

/** The handler of a type, with the parts of a job that it uses. */
async function run(type: ReturnType<typeof webCall> | ReturnType<typeof callback>, input: object) {
  const { definition } = type;
  const read = (definition.input as z.ZodType).parse(input);
  const job = {
    signal: new AbortController().signal,
    step: (_: string, act: () => Promise<unknown>) => act(),
  };
  return definition.run(read as never, job as never);
}
const call = (path: string, more: object = {}) =>
  run(webCall(outbound), { url: `${url}${path}`, ...more });

describe('a web call that was made is not made again', () => {
  test('an answer that says JSON and is empty is null', async () => {
    for (const [path, method] of [
      ['/head', 'HEAD'],
      ['/empty', 'POST'],
    ] as const) {
      answers.set(path, (response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end();
      });
      assert.deepEqual(await call(path, { method }), { status: 200, body: null });
    }
  });

  test('an answer that says JSON and is none is text', async () => {
    answers.set('/text', (response) => {
      response.writeHead(201, { 'content-type': 'application/json' }).end('made it');
    });
    assert.deepEqual(await call('/text', { method: 'POST' }), { status: 201, body: 'made it' });
  });

  test('a list of calls that cannot be read, and an answer that is too large, fail for good', async () => {
    answers.set('/calls', (response) => {
      const type = { 'content-type': 'application/vnd.longhaul.calls+json' };
      response.writeHead(200, type).end('{"calls":[{"uri":"/x"}]}');
    });
    await assert.rejects(call('/calls'), (error: unknown) => {
      assert.ok(error instanceof NonRetryableError);
      return /lists no calls/.test(error.message);
    });
    answers.set('/large', (response) => {
      response.writeHead(200).end(Buffer.alloc(1_100_000));
    });
    await assert.rejects(call('/large'), NonRetryableError);
  });

  test('nor is one that cannot be made', async () => {
    for (const headers of [
      { 'bad name': '1' },
      { 'x-a': 'line\nbreak' },
      { Host: 'localhost' },
      { 'Transfer-Encoding': 'chunked' },
    ])
      await assert.rejects(call('/x', { headers }), /is no name|no header has|is set by the call/);
    await assert.rejects(call('/x', { timeout: '50d' }), /is longer than 9m/);
  });
});

test('a callback is tried again within two hours, whatever Retry-After says', async () => {
  answers.set('/later', (response) => {
    response.writeHead(503, { 'retry-after': '31536000' }).end();
  });
  const told = run(callback(outbound), { url: `${url}/later`, id: 'x', event: {} });
  await assert.rejects(told, (error: unknown) => {
    assert.ok(error instanceof RetryAfterError);
    return error.retryAfter === 2 * 3_600_000;
  });
});

describe('addresses that are nobody’s, or the platform’s own, are refused', () => {
  for (const host of [
    '168.63.129.16',
    '[::127.0.0.1]',
    '[::8.8.8.8]',
    '[::ffff:168.63.129.16]',
    '[100:0:0:1::1]',
    '[1::1]',
    '[4000::1]',
    '[64:ff9b:1::1]',
  ])
    test(host, () => assert.throws(() => checkUrl(`http://${host}/`, []), /not public/));

  test('those of others are not', () => {
    for (const host of ['8.8.8.8', '168.63.129.15', '[2606:4700::1111]'])
      checkUrl(`http://${host}/`, []);
  });

  test('what a setting names is allowed', () => {
    checkUrl('http://[4000::1]/', ['4000::/16']);
  });
});

describe('a time that is longer than a timer of the platform', () => {
  const day = 86_400_000;

  test('passes before anything happens', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let fired = 0;
      afterMs(60 * day, () => fired++);
      const cancel = afterMs(60 * day, () => fired++);
      for (let n = 0; n < 59; n++) mock.timers.tick(day);
      assert.equal(fired, 0);
      cancel();
      // A mocked timer that follows upon another begins at the end of the tick.
      for (let n = 0; n < 3; n++) mock.timers.tick(day);
      assert.equal(fired, 1);
      const { signal } = timeoutSignal(30 * day);
      for (let n = 0; n < 29; n++) mock.timers.tick(day);
      assert.equal(signal.aborted, false);
      for (let n = 0; n < 3; n++) mock.timers.tick(day);
      assert.equal((signal.reason as Error).name, 'TimeoutError');
    } finally {
      mock.timers.reset();
    }
  });

  test('does not end a call at once', async () => {
    const signal = new AbortController().signal;
    const made = { url: `${url}/fine`, method: 'GET', headers: {}, timeoutMs: 30 * day, signal };
    assert.equal((await callOut(made, outbound.allowed)).status, 200);
  });
});
