/** What answers say beside their bodies, and what they keep to themselves. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { createClient, type Problem, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const echo = { type: 'test.echo', input: { value: 1 } };

test('no answer is kept by a cache, or taken for what it is not by a browser', async () => {
  const { id } = await client.submit('test.echo', { value: 1 });
  await client.ended(id);
  for (const path of [
    ...['/jobs', `/jobs/${id}`, `/jobs/${id}/result`, '/jobs/none', '/openapi.json'],
    ...['/schedules', '/health/live', '/examples/report-ready'],
  ]) {
    const { headers } = await client.call(path);
    assert.equal(headers.get('cache-control'), 'no-store', path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
  }
});

test('another method is a 405 that says which there are', async () => {
  for (const [path, method, allow] of [
    ['/jobs', 'DELETE', 'POST, GET'],
    ['/jobs/x/cancel', 'GET', 'POST'],
    ['/schedules/x', 'POST', 'GET, PUT, PATCH, DELETE'],
  ] as const) {
    const response = await client.call(path, { method });
    assert.equal(response.status, 405, path);
    assert.equal(response.headers.get('allow'), allow);
    assert.equal(((await response.json()) as Problem).code, 'method_not_allowed');
  }
});

test('every 400 has errors', async () => {
  const bad = [
    await client.call('/jobs?limit=0x10'),
    await client.call('/jobs?state=none'),
    await client.call('/jobs?cursor=x'),
    await client.call('/events'),
    await client.post(echo, { 'idempotency-key': 'x'.repeat(256) }),
    await client.post('['.repeat(20_000)),
    await client.post(
      `{"type":"test.echo","input":{"value":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
    ),
  ];
  for (const response of bad) {
    assert.equal(response.status, 400, response.url);
    assert.ok((((await response.json()) as Problem).errors ?? []).length > 0, response.url);
  }
});

test('a time that UTC has no four-digit year for is refused', async () => {
  for (const runAt of ['9999-12-31T23:59:59-23:00', '0000-01-01T00:00:00+01:00'])
    assert.equal((await client.post({ ...echo, runAt })).status, 400, runAt);
});

test('who asked a job to end or to go on is told when to look', async () => {
  const { id } = await client.submit('test.echo', { value: 1 }, { delay: '1h' });
  const response = await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
  assert.equal(response.status, 202);
  assert.match(response.headers.get('retry-after') ?? '', /^\d+$/);
});

test('a status tells of no claim, and a callback’s address ends at its query', async () => {
  const callback = { url: 'http://127.0.0.1:9/hook?token=planted' };
  const response = await client.post({ ...echo, callback }, { 'idempotency-key': 'once' });
  const status = (await response.json()) as Status;
  assert.equal(status['callback'], 'http://127.0.0.1:9/hook');
  assert.equal(status['claims'], undefined);
  const listed = await (await client.call('/jobs')).text();
  assert.doesNotMatch(listed, /planted|idempotency-key/);
});

test('jobs are listed by who asked for them', async () => {
  const { id } = await client.submit('test.echo', { value: 1 }, { requestedBy: 'ada' });
  const response = await client.call('/jobs?requestedBy=ada');
  const { jobs } = (await response.json()) as { jobs: Status[] };
  assert.deepEqual(
    jobs.map((job) => job.id),
    [id],
  );
});

test('the idempotency keys of two are two, and of a batch’s items too', async () => {
  const idOf = async (more: object, key: string) => {
    const response = await client.post({ ...echo, ...more }, { 'idempotency-key': key });
    assert.ok(response.ok);
    return ((await response.json()) as Status).id;
  };
  const ada = await idOf({ requestedBy: 'ada' }, 'same');
  const bob = await idOf({ requestedBy: 'bob' }, 'same');
  assert.notEqual(ada, bob);
  assert.equal(await idOf({ requestedBy: 'ada' }, 'same'), ada);
  const batch = await client.call('/jobs/batch', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'col' },
    body: JSON.stringify([echo]),
  });
  const { results } = (await batch.json()) as { results: { id: string }[] };
  assert.notEqual(await idOf({}, 'col 0'), results[0]?.id);
});

test('an id that a sender chose is encoded in links and headers', async () => {
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const id = 'a/b?ü&#x 日';
    await bus.createSender('standard').sendMessages({
      ...{ messageId: id, body: { key: 'odd' }, contentType: 'application/json' },
      applicationProperties: { type: 'test.approval' },
    });
    const path = `/jobs/${encodeURIComponent(id)}`;
    const status = await until('the job', async () => {
      const response = await client.call(path);
      const found = (await response.json()) as Status;
      return response.status === 200 && found.state === 'waiting' && found;
    });
    assert.equal(status.links['self'], `/api${path}`);
    const cancelled = await client.call(`${path}/cancel`, { method: 'POST' });
    assert.equal(cancelled.status, 202);
    assert.equal(cancelled.headers.get('location'), `/api${path}`);
  } finally {
    await bus.close();
  }
});
