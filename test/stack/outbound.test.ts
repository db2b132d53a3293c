/** Callbacks and web calls, against a server of somebody else's. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { CloudEvent } from 'cloudevents';
import { Webhook } from 'standardwebhooks';
import { checkUrl } from '#longhaul/outbound/address.js';
import { createClient, type Problem, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

const secret = `whsec_${Buffer.from('a secret of the test, 32 bytes..').toString('base64')}`;

interface Received {
  path: string;
  method: string;
  headers: Record<string, string>;
  body: string;
}

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
let server: Server;
let url: string;
const received: Received[] = [];
const answers = new Map<string, (response: ServerResponse, nth: number) => void>();

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const path = request.url ?? '';
  const nth = received.filter((one) => one.path === path).length;
  received.push({
    path,
    method: request.method ?? '',
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks).toString('utf8'),
  });
  const answer = answers.get(path);
  if (answer) answer(response, nth);
  else response.writeHead(200).end();
}

before(async () => {
  server = createServer((request, response) => void receive(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stack = await testStack({ settings: { CALLBACK_SECRET: secret } });
  client = createClient(stack.url);
});
after(async () => {
  server?.close();
  server?.closeAllConnections();
  await stack?.remove();
});

const of = (path: string) => received.filter((one) => one.path === path);
const submit = async (body: object): Promise<Status> => {
  const response = await client.post(body);
  assert.equal(response.status, 202, await response.clone().text());
  return (await response.json()) as Status;
};

describe('a callback', () => {
  test('is a CloudEvents event with a signature that the Standard Webhooks library verifies', async () => {
    const callback = { url: `${url}/done` };
    const { id } = await submit({ type: 'test.echo', input: { value: 7 }, callback });
    await until('the callback', () => of('/done').length > 0);
    const [{ headers, body, method }] = of('/done') as [Received];
    assert.equal(method, 'POST');
    assert.equal(headers['content-type'], 'application/cloudevents+json');
    new Webhook(secret).verify(body, headers);
    assert.throws(() => new Webhook(secret).verify(`${body} `, headers));
    const event = new CloudEvent<{ result: unknown }>(JSON.parse(body), true);
    assert.equal(event.type, 'longhaul.job.succeeded');
    assert.equal(event.subject, id);
    assert.deepEqual(event.data?.result, { value: 7 });
    assert.equal(headers['webhook-id'], event.id);
  });

  test('is tried again when it fails, under the same id', async () => {
    answers.set('/flaky', (response, nth) => {
      response.writeHead(nth === 0 ? 503 : 204, nth === 0 ? { 'retry-after': '1' } : {}).end();
    });
    await submit({ type: 'test.echo', input: { value: 1 }, callback: { url: `${url}/flaky` } });
    await until('the second try', () => of('/flaky').length === 2);
    const ids = of('/flaky').map(({ headers }) => headers['webhook-id']);
    assert.equal(ids[0], ids[1]);
  });

  test('follows no redirect, and ends as a dead letter when it never works', async () => {
    answers.set('/moved', (response) => {
      response.writeHead(302, { location: `${url}/elsewhere` }).end();
    });
    const callback = { url: `${url}/moved` };
    const { id } = await submit({ type: 'test.echo', input: { value: 1 }, callback });
    const failed = await until('its failure', async () => {
      const response = await client.call('/jobs?type=longhaul.callback&state=failed');
      const { jobs } = (await response.json()) as { jobs: Status[] };
      return jobs.find((job) => job.id.startsWith(id));
    });
    assert.match(failed.error?.message ?? '', /answered 302/);
    assert.equal(of('/elsewhere').length, 0);
    assert.equal((await client.get(id)).state, 'succeeded');
  });

  test('to an address that is not public is refused at submit', async () => {
    for (const [to, why] of [
      ['http://10.0.0.1/x', /not public/],
      ['http://example.com/x', /https/],
      ['http://169.254.169.254/latest/meta-data', /not public/],
      ['http://[fd00::1]/x', /not public/],
      ['http://[::ffff:10.0.0.1]/x', /not public/],
      ['http://0x0a000001/', /not public/],
      ['ftp://example.com/', /no http or https/],
      ['http://user:word@example.com/', /user name/],
      ['nowhere', /no http or https/],
    ] as const) {
      const response = await client.post({
        ...{ type: 'test.echo', input: { value: 1 } },
        callback: { url: to },
      });
      assert.equal(response.status, 400, to);
      const problem = (await response.json()) as Problem;
      assert.match(problem.detail, why);
      assert.equal(problem.errors?.[0]?.pointer, '/callback/url');
    }
  });
});

describe('a web call', () => {
  test('runs an address as a job, with its method, headers and body', async () => {
    answers.set('/work', (response) => {
      response.writeHead(201, { 'content-type': 'application/json' }).end('{"made":3}');
    });
    const input = { url: `${url}/work`, method: 'POST', headers: { 'x-a': 'b' }, body: { n: 1 } };
    const { id } = await submit({ type: 'web.call', input });
    assert.deepEqual((await client.ended(id)).result, { status: 201, body: { made: 3 } });
    const [{ headers, body }] = of('/work') as [Received];
    assert.deepEqual([headers['x-a'], body], ['b', '{"n":1}']);
  });

  test('that is answered with an error of its own fails at once, and says what was answered', async () => {
    answers.set('/missing', (response) => {
      response.writeHead(404).end('no such page');
    });
    const { id } = await submit({ type: 'web.call', input: { url: `${url}/missing` } });
    const { state, attempt, error } = await client.ended(id);
    assert.deepEqual([state, attempt], ['failed', 1]);
    assert.match(error?.message ?? '', /answered 404: no such page/);
    const fine = { url: `${url}/missing`, successCodes: [404] };
    const { id: other } = await submit({ type: 'web.call', input: fine });
    assert.equal((await client.ended(other)).state, 'succeeded');
  });

  test('to a master page gets the calls that it lists run as its children', async () => {
    answers.set('/master', (response) => {
      const calls = [1, 2, 3].map((n) => ({ url: `${url}/part/${n}` }));
      const type = { 'content-type': 'application/vnd.longhaul.calls+json' };
      response.writeHead(200, type).end(JSON.stringify({ calls, limit: 2 }));
    });
    const { id } = await submit({ type: 'web.call', input: { url: `${url}/master` } });
    const ended = await client.ended(id);
    assert.deepEqual((ended.result as { calls: unknown }).calls, [
      ...[1, 2, 3].map(() => ({ ok: true, status: 200 })),
    ]);
    assert.deepEqual(
      received
        .filter(({ path }) => path.startsWith('/part/'))
        .map(({ path }) => path)
        .sort(),
      ['/part/1', '/part/2', '/part/3'],
    );
  });

  test('to an address that is not public is not made', async () => {
    const { id } = await submit({ type: 'web.call', input: { url: 'http://192.168.7.7/x' } });
    const { state, error } = await client.ended(id);
    assert.deepEqual([state, error?.code], ['failed', 'address_refused']);
  });
});

test('a name is refused by the addresses that it has', async () => {
  const { callOut } = await import('#longhaul/outbound/call.js');
  const call = {
    ...{ url: url.replace('127.0.0.1', 'localhost'), method: 'GET', headers: {} },
    ...{ timeoutMs: 5000, signal: new AbortController().signal },
  };
  await assert.rejects(callOut(call, []), /'localhost' is not called: it is not public/);
  assert.equal((await callOut(call, ['localhost'])).status, 200);
  assert.equal((await callOut(call, ['127.0.0.0/8', '::1/128'])).status, 200);
  assert.throws(() => checkUrl('http://127.0.0.1/', []), /not public/);
});
