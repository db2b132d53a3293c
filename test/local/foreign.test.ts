/** A web page in the developer's browser, and what listens on the developer's machine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { testStack } from '../support/stack.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let bus: URL;
before(async () => {
  stack = await testStack();
  bus = new URL(stack.serviceBus.replace(/^Endpoint=sb/, 'http').split(';')[0] ?? '');
});
after(() => stack?.remove());

const call = (url: string | URL, headers: Record<string, string>, method = 'GET') =>
  new Promise<number>((resolve, reject) => {
    const sent = request(url, { headers, method }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end();
  });

const connects = (origin: string | undefined, host?: string) =>
  new Promise<boolean>((resolve) => {
    const options = { ...(origin ? { origin } : {}), headers: host ? { host } : {} };
    const socket = new WebSocket(new URL('/$servicebus/websocket', bus), 'AMQPWSB10', options);
    socket.on('open', () => {
      socket.close();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

test('Azurite answers no foreign page, on none of its ports', async () => {
  const ends = [...stack.storage.matchAll(/Endpoint=(http:[^;]+)/g)].map(([, url]) => url ?? '');
  assert.equal(ends.length, 3);
  for (const url of ends) {
    const { port } = new URL(url);
    for (const headers of [
      { host: `devstoreaccount1.evil.example:${port}` },
      { origin: 'https://evil.example' },
    ])
      assert.equal(await call(url, headers), 403, `${url} ${JSON.stringify(headers)}`);
    // It asks for a key, or knows no such thing.
    assert.notEqual(await call(url, {}), 403, url);
  }
});

describe('the Functions host', () => {
  const api = () => `${stack.url}/api/job-types`;

  test('takes no request of a page of another origin', async () => {
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example'])
      assert.equal(await call(api(), { origin }), 403, origin);
    assert.equal(await call(api(), { 'sec-fetch-site': 'cross-site' }), 403);
    const { port } = new URL(stack.url);
    for (const origin of [`http://localhost:${port}`, 'http://127.0.0.1:3000', 'http://[::1]:1'])
      assert.equal(await call(api(), { origin }), 200, origin);
  });

  test('takes no name that was made to lead here', async () => {
    for (const host of [
      'evil.example',
      'localhost.evil.example:7071',
      '10.0.0.1',
      'a b',
      'evil.example:80@localhost',
      'localhost/@x',
      'localhost#',
    ])
      assert.equal(await call(api(), { host }), 403, host);
    for (const host of ['localhost', 'jobs.localhost:7071', '127.0.0.1:1', '[::1]:7071'])
      assert.equal(await call(api(), { host }), 200, host);
  });

  test('is opened from a link elsewhere', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    assert.equal(await call(api(), headers), 200);
    assert.equal(await call(`${stack.url}/api/jobs`, headers, 'POST'), 403);
  });
});

describe('the local Service Bus', () => {
  test('takes no WebSocket of a page of another origin, or by another name', async () => {
    assert.equal(await connects(undefined), true);
    assert.equal(await connects('http://localhost:3000'), true);
    assert.equal(await connects('https://evil.example'), false);
    assert.equal(await connects('null'), false);
    assert.equal(await connects(undefined, 'evil.example'), false);
  });

  test('is administered by none', async () => {
    const queue = new URL('/standard', bus);
    assert.equal(await call(queue, {}), 200);
    assert.equal(await call(queue, { origin: 'https://evil.example' }, 'DELETE'), 403);
    assert.equal(await call(queue, { host: 'evil.example' }), 403);
  });
});

const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);

/** Tries each way of reaching the stack, and says in its title which of them did. */
const page = (api: string, socket: string) => `<!doctype html><title>trying</title><script>
  const job = { method: 'POST', body: '{"type":"test.echo","input":{"value":1}}' };
  const ways = {
    read: () => fetch('${api}/job-types').then((r) => r.ok),
    simple: () => fetch('${api}/jobs', { ...job, mode: 'no-cors' }).then(() => false),
    json: () => fetch('${api}/jobs', { ...job, headers: { 'content-type': 'application/json' } }).then((r) => r.ok),
    bus: () => new Promise((resolve) => {
      const ws = new WebSocket('${socket}', 'AMQPWSB10');
      ws.onopen = () => resolve(true);
      ws.onerror = () => resolve(false);
    }),
  };
  Promise.all(Object.entries(ways).map(async ([name, way]) => [name, await way().catch(() => false)]))
    .then((all) => { document.title = 'reached:' + all.filter(([, ok]) => ok).map(([name]) => name); });
</script>`;

test('a page in Chromium', {
  skip: browser === undefined && 'there is no Chromium here',
}, async (t) => {
  const { url } = stack;
  const socket = `ws://${bus.host}/$servicebus/websocket`;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(page(`${url}/api`, socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const titleAt = async (host: string) => {
    const profile = await mkdtemp(join(tmpdir(), 'longhaul-chromium-'));
    try {
      return await titleOf(`http://${host}:${port}/`, profile);
    } finally {
      await rm(profile, { recursive: true, force: true });
    }
  };
  try {
    await t.test('of another origin reaches nothing', async () => {
      assert.equal(await titleAt('evil.example'), 'reached:');
    });
    await t.test('of this machine reaches the bus, so that the page above did try', async () => {
      assert.equal(await titleAt('127.0.0.1'), 'reached:bus');
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

/** Of a page, once its script is through: on a busy machine its time may be over before. */
async function titleOf(url: string, profile: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    const title = await titleNow(url, profile);
    if (title !== 'trying' || tries === 10) return title;
  }
}

async function titleNow(url: string, profile: string): Promise<string> {
  const child = spawn(
    browser ?? '',
    [
      ...['--headless=new', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`],
      ...['--host-resolver-rules=MAP evil.example 127.0.0.1', '--virtual-time-budget=8000'],
      ...['--disable-background-networking', '--dump-dom', url],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let html = '';
  for await (const chunk of child.stdout) html += String(chunk);
  return /<title>(.*?)<\/title>/.exec(html)?.[1] ?? html;
}
