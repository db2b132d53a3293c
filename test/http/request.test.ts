/** Headers, queries and bodies, each by its own grammar. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import azure from '@azure/functions';
import { fromJson } from '#longhaul/define/json.js';
import { Feed } from '#longhaul/http/feed.js';
import {
  idempotencyKey,
  knownTags,
  pageOf,
  preferredWaitMs,
  readItems,
  readJson,
} from '#longhaul/http/request.js';

const asked = (headers: Record<string, string>, query: Record<string, string> = {}) =>
  new azure.HttpRequest({ url: 'http://localhost/', method: 'GET', headers, query });
const sent = (type: string, bytes: string | Buffer) =>
  new azure.HttpRequest({
    ...{ url: 'http://localhost/', method: 'POST', headers: { 'content-type': type } },
    body: typeof bytes === 'string' ? { string: bytes } : { bytes },
  });

describe('Prefer', () => {
  for (const [prefer, ms] of [
    ['wait=1', 1_000],
    ['Wait = 1', 1_000],
    ['wait="2"', 2_000],
    ['respond-async, wait=3', 3_000],
    ['wait=4; x=1', 4_000],
    ['foo="a, wait=9", wait=5', 5_000],
    ['wait=1, wait=9', 1_000],
    ['wait=99999999999999999999', 60_000],
    ['foo="wait=9"', undefined],
    ['x; wait=9', undefined],
    ['wait=-1', undefined],
    ['wait=1s', undefined],
    ['awaits=1', undefined],
  ] as const)
    test(prefer, () => assert.equal(preferredWaitMs(asked({ prefer })), ms));
});

describe('If-None-Match', () => {
  for (const [given, isKnown] of [
    ['W/"a"', true],
    ['"a"', true],
    ['"x,y", W/"a"', true],
    ['*', true],
    ['"A"', false],
    ['a', false],
    ['"b"', false],
  ] as const)
    test(given, () =>
      assert.equal(knownTags(asked({ 'if-none-match': given })).has('W/"a"'), isKnown),
    );
});

test('a limit is a whole number in decimals', () => {
  for (const limit of ['0x10', '1e2', '', ' 5', '0', '1001', '5.0', '-1'])
    assert.throws(() => pageOf(asked({}, { limit })), /whole number/, limit);
  assert.equal(pageOf(asked({}, { limit: '1000' })).limit, 1000);
  const long = asked({}, { type: 'x'.repeat(257) });
  assert.throws(() => pageOf(long).text('type'), /256/);
});

test('the same key of another caller is another key', () => {
  const of = (headers: Record<string, string>) =>
    idempotencyKey(asked({ 'idempotency-key': 'k', ...headers }));
  assert.notEqual(of({}), of({ 'x-ms-client-principal-id': 'somebody' }));
  assert.equal(of({}), of({ 'idempotency-key': '"k"' }));
});

describe('a body', () => {
  test('is UTF-8, and says no other charset', async () => {
    const wrong = sent('application/json', Buffer.from([0x22, 0xff, 0x22]));
    await assert.rejects(readJson(wrong, 100), /no UTF-8/);
    const latin = sent('application/json; charset=latin1', '{}');
    await assert.rejects(readJson(latin, 100), /send application\/json/);
    for (const type of ['application/json; charset="UTF-8"', 'Application/Problem+JSON'])
      assert.deepEqual(await readJson(sent(type, '{}'), 100), {});
    for (const type of ['text/plain', 'application/jsonx', 'application/json, text/plain', ';'])
      await assert.rejects(readJson(sent(type, '{}'), 100), /Content-Type/);
    assert.deepEqual(await readItems(sent('application/x-ndjson', '1\n\n2\n'), 100), [1, 2]);
  });

  test('is nested a hundred deep at most', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    assert.ok(fromJson(nested(100)));
    assert.throws(() => fromJson(nested(102)), /nested/);
    await assert.rejects(readJson(sent('application/json', nested(20_000)), 1e6), /nested/);
    const wide = JSON.stringify(Array.from({ length: 1e5 }, () => ({ a: [1] })));
    assert.ok(fromJson(wide));
  });
});

test('only so many names are watched', () => {
  const clock = { now: () => new Date(), after: () => () => undefined };
  const feed = new Feed(async () => new Map(), clock, 500);
  for (let n = 0; n < 5_000; n++) feed.watch(`n${n}`, () => undefined);
  assert.equal(feed.isFull, true);
});

test('what was announced and does not come holds up nobody', async () => {
  const announced = String(10 * 2 ** 20);
  const open: ReadableStreamDefaultController[] = [];
  const stalled = Array.from({ length: 8 }, () => {
    const request = sent('application/json', '');
    request.headers.set('content-length', announced);
    const body = new ReadableStream({
      start(controller) {
        open.push(controller);
        controller.enqueue(Buffer.from('{'));
      },
    });
    Object.defineProperty(request, 'body', { value: body });
    return assert.rejects(readJson(request, 10 * 2 ** 20), /no JSON/);
  });
  assert.deepEqual(await readJson(sent('application/json', '{"a":1}'), 1000), { a: 1 });
  for (const controller of open) controller.close();
  await Promise.all(stalled);
});
