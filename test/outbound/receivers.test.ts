/** Who gets a callback, by which secret it is signed, and how the one who gets it knows. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import type { JobRequest } from '#longhaul/define/define-job.js';
import { callback, webCall } from '#longhaul/outbound/built-in.js';
import { type Outbound, secretHeadersOf, signersOf } from '#longhaul/outbound/receivers.js';
import { readSettings } from '#longhaul/settings.js';
import { receiveCallbacks } from './receive-callback.ts';

const secretOf = (text: string) => `whsec_${Buffer.from(text.padEnd(32, '.')).toString('base64')}`;
const [hers, his, old] = ['hers', 'his', 'old'].map(secretOf) as [string, string, string];

const outboundOf = (more: Partial<Outbound> = {}): Outbound => ({
  ...{ allowed: ['127.0.0.0/8', 'localhost'], secret: undefined },
  ...{ secrets: new Map(), headers: new Map() },
  ...more,
});

const servers: { close(): void; closeAllConnections(): void }[] = [];
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

async function portOf(server: ReturnType<typeof createServer>): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

const send = (outbound: Outbound, url: string, id = 'job:succeeded') => {
  const job = { signal: new AbortController().signal };
  const input = { url, id, event: { subject: 'job' } };
  return callback(outbound).definition.run(input as never, job as never);
};

describe('a receiver as docs/ways.md shows it', () => {
  test('is shown as it runs', async () => {
    const page = await readFile(new URL('../../../docs/ways.md', import.meta.url), 'utf8');
    const [, shown = ''] = page.split('```ts\n// receive-callback.ts\n');
    const file = new URL('../../../test/outbound/receive-callback.ts', import.meta.url);
    assert.equal(shown.split('```')[0], await readFile(file, 'utf8'));
  });

  test('takes what is signed by its secret, the old or the new, and each event once', async () => {
    const told: object[] = [];
    const port = await portOf(receiveCallbacks(old, (event) => told.push(event)));
    const url = `http://127.0.0.1:${port}/`;
    const both = outboundOf({ secrets: new Map([['127.0.0.1', [his, old]]]) });
    await send(both, url);
    await send(both, url);
    await send(outboundOf({ secret: [old] }), url, 'another:succeeded');
    assert.deepEqual(told, [{ subject: 'job' }, { subject: 'job' }]);
  });

  test('takes nothing that is signed for another', async () => {
    const told: object[] = [];
    const port = await portOf(receiveCallbacks(hers, (event) => told.push(event)));
    const wrong = send(outboundOf({ secret: [his] }), `http://127.0.0.1:${port}/`);
    await assert.rejects(wrong, /answered 401/);
    const unsigned = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' });
    assert.equal(unsigned.status, 401);
    assert.deepEqual(told, []);
  });
});

test('each receiver has the secret of its host, and one without any is not called', () => {
  const outbound = outboundOf({ secrets: new Map([['a.example', [hers]]]) });
  assert.deepEqual(signersOf('https://A.example/x?token=1', outbound), [hers]);
  assert.throws(() => signersOf('https://b.example/', outbound), /has no secret/);
  assert.deepEqual(signersOf('https://b.example/', { ...outbound, secret: [his] }), [his]);
});

test('callbacks leave the machine by https only', () => {
  const outbound = outboundOf({ secret: [his], allowed: ['10.0.0.0/8', '127.0.0.0/8', '::1/128'] });
  for (const url of ['http://a.example/', 'http://10.0.0.1/'])
    assert.throws(() => signersOf(url, outbound), /https/);
  for (const url of [
    'http://127.0.0.1:1/',
    'http://[::1]/',
    'http://localhost/',
    'https://10.0.0.1/',
  ])
    assert.deepEqual(signersOf(url, outbound), [his]);
});

test('headers that no job holds go to their host, over https, and to no other', async () => {
  const headers = new Map([['127.0.0.1', { authorization: 'Bearer planted' }]]);
  const outbound = outboundOf({ headers, allowed: ['127.0.0.0/8', 'a.example'] });
  assert.deepEqual(secretHeadersOf('https://a.example/', outbound), {});
  const foreign = outboundOf({ headers: new Map([['a.example', { authorization: 'x' }]]) });
  assert.deepEqual(secretHeadersOf('http://a.example/', foreign), {});
  let got: IncomingHttpHeaders = {};
  const port = await portOf(
    createServer((request, response) => {
      got = request.headers;
      response.end();
    }),
  );
  const job = {
    signal: new AbortController().signal,
    step: (_: string, act: () => Promise<unknown>) => act(),
  };
  const input = { url: `http://127.0.0.1:${port}/`, method: 'GET', headers: {}, timeout: '1m' };
  await webCall(outbound).definition.run(input as never, job as never);
  assert.equal(got['authorization'], 'Bearer planted');
  // A page of another host that lists this call does not spend them.
  got = {};
  for (const listedBy of ['https://a.example', 'http://127.0.0.1:1', `https://127.0.0.1:${port}`])
    await assert.rejects(
      webCall(outbound).definition.run({ ...input, listedBy } as never, job as never),
      /not public|not called|allowed/i,
    );
  assert.deepEqual(got, {}, 'what is within is not called for a page elsewhere');
  const own = { ...input, listedBy: `http://127.0.0.1:${port}` };
  await webCall(outbound).definition.run(own as never, job as never);
  assert.equal(got['authorization'], 'Bearer planted');
});

test('a page that lists calls hands on what is left of those that may follow, and no more', async () => {
  const type = webCall(outboundOf()).definition;
  let calls: object[] = [];
  const port = await portOf(
    createServer((_, response) => {
      response.setHeader('content-type', 'application/vnd.longhaul.calls+json');
      response.end(JSON.stringify({ calls }));
    }),
  );
  const children: JobRequest[] = [];
  const job = {
    signal: new AbortController().signal,
    step: (_: string, act: () => Promise<unknown>) => act(),
    childrenSettled: async (_: string, requests: JobRequest[]) => {
      children.push(...requests);
      return [];
    },
  };
  const run = async (mostCalls: number) => {
    const input = { url: `http://127.0.0.1:${port}/`, method: 'GET', headers: {}, timeout: '1m' };
    await type.run({ ...input, mostCalls } as never, job as never);
    return children.splice(0).map(({ input }) => (input as { mostCalls: number }).mostCalls);
  };
  const one = { url: 'https://a.example' };
  calls = [one, { ...one, mostCalls: 1 }, { ...one, mostCalls: 50_000 }];
  assert.deepEqual(await run(13), [3, 1, 3]);
  assert.deepEqual(await run(3), [0, 0, 0]);
  await assert.rejects(run(2), /lists 3 calls, and 2 more may follow/);
  calls = [];
  assert.deepEqual(await run(0), []);
});

test('what fails is told without the query of its address', async () => {
  const port = await portOf(createServer((_, response) => response.writeHead(404).end()));
  const url = `http://127.0.0.1:${port}/path?token=planted`;
  const told = (error: Error) =>
    /\/path answered 404/.test(error.message) && !/planted/.test(error.message);
  await assert.rejects(send(outboundOf({ secret: [his] }), url), told);
  assert.throws(
    () => signersOf('ftp://user:planted@a.example/?planted', outboundOf()),
    (error: Error) => /a\.example/.test(error.message) && !/planted/.test(error.message),
  );
});

describe('the settings', () => {
  const needed = { ServiceBus: 'x', AzureWebJobsStorage: 'y' };

  test('name receivers with one secret or two', () => {
    const text = `A.example=${hers} ${old}, b.example=${his}`;
    const settings = readSettings({ ...needed, CALLBACK_SECRETS: text, CALLBACK_SECRET: his });
    assert.deepEqual(
      [...settings.CALLBACK_SECRETS],
      [
        ['a.example', [hers, old]],
        ['b.example', [his]],
      ],
    );
    assert.deepEqual(settings.CALLBACK_SECRET, [his]);
    const given = { ...needed, OUTBOUND_HEADERS: '{"A.example":{"authorization":"Bearer x"}}' };
    assert.deepEqual(
      [...readSettings(given).OUTBOUND_HEADERS],
      [['a.example', { authorization: 'Bearer x' }]],
    );
  });

  test('are refused without being shown', () => {
    for (const wrong of [
      { CALLBACK_SECRET: 'planted' },
      { CALLBACK_SECRETS: `a.example=${hers}, planted` },
      { CALLBACK_SECRETS: 'a.example=planted' },
      { OUTBOUND_HEADERS: '{"planted' },
      { OUTBOUND_HEADERS: '{"a.example":{"authorization":"planted\\n"}}' },
    ])
      assert.throws(
        () => readSettings({ ...needed, ...wrong }),
        (error: Error) =>
          error.message.includes(Object.keys(wrong)[0] ?? '') && !error.message.includes('planted'),
      );
  });
});
