/** The HTTP client beside what `openapi.json` lists, and in a browser. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { build } from 'esbuild';
import { connect } from '#longhaul/client/http.js';
import { root, testStack } from '../support/stack.ts';

interface Asked {
  method: string;
  path: string;
  token: string | undefined;
}

let asked: Asked[] = [];
/** What comes before an answer that is fine. */
let troubles: ((() => { status: number; retryAfter?: string }) | 'cut')[] = [];
const server = createServer((request, response) => {
  const { method = '', url = '', headers } = request;
  asked.push({ method, path: url.replace(/\?.*/, ''), token: headers['x-token'] as string });
  request.resume();
  const trouble = troubles.shift();
  if (trouble === 'cut') return void request.socket.destroy();
  if (trouble) {
    const { status, retryAfter } = trouble();
    response.writeHead(status, retryAfter ? { 'retry-after': retryAfter } : {});
    return void response.end('{"code":"overloaded","detail":"Try again."}');
  }
  if (headers.accept === 'text/event-stream') return void response.writeHead(204).end();
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end('{"id":"a job","type":"t","state":"succeeded"}');
});
let tokens = 0;
let client: ReturnType<typeof connect>;

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = connect({ url, headers: async () => ({ 'x-token': `${++tokens}` }) });
});
after(() => server.close());
beforeEach(() => {
  asked = [];
  troubles = [];
});

test('every operation of openapi.json can be asked for', async () => {
  const request = { type: 't', input: {} };
  const job = client.job('ID');
  const definition = { type: 't', input: {}, every: '1h' } as never;
  await client.submit(request);
  await client.submitMany([request]);
  await client.list({ state: 'failed' });
  await client.types();
  for await (const _ of client.ends('ada')) assert.fail();
  for await (const _ of job.events()) assert.fail();
  await job.status();
  await job.why();
  await client.act({ do: 'retry', filter: { state: 'failed' } });
  await client.count({ do: 'retry', filter: { state: 'failed' } });
  await job.remove();
  await client.errors();
  await client.queues();
  await client.workers();
  await job.result();
  await job.input();
  await job.timeline();
  await job.log({ after: 0 });
  await job.cancel();
  await job.retry();
  await job.tell('NAME', {});
  await job.file('NAME');
  await client.schedules.list();
  await client.schedules.putMany([]);
  await client.schedules.get('ID');
  await client.schedules.put('ID', definition);
  await client.schedules.patch('ID', { enabled: false });
  await client.schedules.remove('ID');
  await client.schedules.run('ID');
  await client.deadLetters.list();
  await client.deadLetters.groups();
  await client.deadLetters.redrive();
  await client.deadLetters.discard({ why: 'gone' });
  await client.pauses.list();
  await client.pauses.pause('type', 'NAME');
  await client.pauses.resume('type', 'NAME');
  const stack = await testStack();
  try {
    const { paths } = (await (await fetch(`${stack.url}/api/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    const listed = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(
        (method) =>
          `${method.toUpperCase()} ${path.replace('{id}', 'ID').replace('{name}', 'NAME').replace('{scope}', 'type')}`,
      ),
    );
    const made = new Set(asked.map(({ method, path }) => `${method} ${path}`));
    // Probes, descriptions and a sample page are for others.
    const others = /\/(health|openapi\.json|asyncapi\.json|examples)/;
    const left = listed.filter((one) => !made.has(one) && !others.test(one));
    assert.deepEqual(left, []);
  } finally {
    await stack.remove();
  }
});

test('headers are asked for anew for each request', async () => {
  await client.types();
  await client.types();
  assert.equal(new Set(asked.map(({ token }) => token)).size, 2);
});

test('what was not answered, or is told to come again, is sent again', async () => {
  troubles = ['cut', () => ({ status: 503, retryAfter: '1' }), () => ({ status: 500 })];
  const began = Date.now();
  await client.submit({ type: 't', input: {} });
  assert.equal(asked.length, 4);
  assert.ok(Date.now() - began >= 1_000, 'as long as Retry-After says');
});

test('what would be another thing the second time is sent again only if nothing was changed', async () => {
  troubles = [() => ({ status: 503 })];
  await client.job('ID').retry();
  assert.equal(asked.length, 2);
  troubles = ['cut'];
  await assert.rejects(client.job('ID').retry(), { name: 'UnreachableError' });
  assert.equal(asked.length, 3);
});

test('a bundle for a browser asks for nothing of Node', async () => {
  const { metafile, warnings } = await build({
    stdin: {
      contents: "export { connect } from '#longhaul/client/http.js';",
      resolveDir: join(root, 'test'),
    },
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent',
  });
  assert.deepEqual(warnings, []);
  const inputs = Object.keys(metafile.inputs);
  assert.ok(!inputs.some((file) => file.includes('@azure')), inputs.join('\n'));
});
