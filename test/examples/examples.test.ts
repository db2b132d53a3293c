/** Each of the examples, on one stack. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BlobServiceClient } from '@azure/storage-blob';
import { connect, type HttpClient } from 'longhaul/client';
import sharp from 'sharp';
import type { createCatalogue } from '../../examples/catalogue.ts';
import { keepDigests } from '../../examples/tenants.ts';
import { createSite } from '../../examples/web-page.ts';
import { drivers } from '../service-bus/sdks/drivers.ts';
import { readEvents } from '../support/sse.ts';
import { root, testStack } from '../support/stack.ts';

const run = promisify(execFile);
const within = { timeout: '60s' } as const;

let stack: Awaited<ReturnType<typeof testStack>>;
let client: HttpClient<ReturnType<typeof createCatalogue>>;
const api = { most: 0, calls: 0, server: createApi() };

before(async () => {
  stack = await testStack({
    main: 'dist/examples/index.js',
    settings: { EXAMPLE_API: await listen(api.server) },
  });
  client = connect<ReturnType<typeof createCatalogue>>({ url: stack.url });
});
after(async () => {
  api.server.close();
  await stack?.remove();
});

async function listen(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers in 50 ms, but the first call: that one is too many. */
function createApi(): Server {
  let now = 0;
  return createServer(async (request, response) => {
    api.most = Math.max(api.most, ++now);
    const name = new URL(request.url ?? '', 'http://api').searchParams.get('name');
    await pause(50);
    now--;
    if (++api.calls === 1) response.writeHead(429, { 'retry-after': '1' }).end();
    else response.end(JSON.stringify({ name, age: 36 }));
  });
}

async function putInbox(name: string, content: string): Promise<void> {
  const inbox = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient('inbox');
  await inbox.createIfNotExists();
  await inbox.getBlockBlobClient(name).upload(content, Buffer.byteLength(content));
}

test('order: approved, it waits three days; cancelled meanwhile, it is paid back', async () => {
  const handle = await client.submit('order', { item: 'book' });
  await handle.tell('approved', { by: 'ada' });
  for await (const { state } of handle.watch()) if (state === 'waiting') break;
  await handle.cancel();
  const status = await ended(handle);
  assert.equal(status.state, 'cancelled');
});

async function ended(handle: { watch(): AsyncIterable<{ state: string }> }) {
  let last = { state: '' };
  for await (const status of handle.watch()) last = status;
  return last;
}

test('import: parts run beside each other, and each wrong row is told', async () => {
  const rows = Array.from({ length: 40 }, (_, n) => (n === 25 ? 'oops,0' : `AB-${n},${n + 1}`));
  await putInbox('products.csv', `sku,price\n${rows.join('\n')}\n`);
  const handle = await client.submit('import', { blob: 'products.csv', rowsInPart: 10 });
  const { imported, refused, failedParts } = await handle.result(within);
  assert.deepEqual([imported, failedParts, refused.map(({ row }) => row)], [39, 0, [25]]);
  assert.match(refused[0]?.why ?? '', /is no SKU/);
});

test('report: rows are grouped, and the CSV is a file of the job', async () => {
  const data = 'city,price\nDelft,10\nGouda,7\nDelft,30\n';
  const measures = [{ column: 'price', of: 'mean' as const }];
  const handle = await client.submit('report', { data, groupBy: ['city'], measures });
  assert.equal((await handle.result(within)).groups, 2);
  assert.equal(
    await (await handle.file('report.csv')).text(),
    'city,rows,mean_price\nDelft,2,20\nGouda,1,7\n',
  );
});

test('thumbnails: one image, several sizes, once for all who ask', async () => {
  const picture = sharp({ create: { width: 64, height: 32, channels: 3, background: 'red' } });
  const input = { image: (await picture.png().toBuffer()).toString('base64'), widths: [16, 8] };
  const first = await client.submit('thumbnails', input);
  const { sizes } = await first.result(within);
  assert.deepEqual(
    sizes.map(({ width, height }) => [width, height]),
    [
      [16, 8],
      [8, 4],
    ],
  );
  assert.equal((await client.submit('thumbnails', input)).id, first.id);
});

test('tenants: each has a schedule of its own, and its runs are asked for by it', async () => {
  const tenants = [
    { id: 'acme', cron: '0 6 * * *', timeZone: 'Europe/Amsterdam' },
    { id: 'globex', cron: '0 6 * * *', timeZone: 'America/New_York' },
  ];
  const schedules = client as unknown as Parameters<typeof keepDigests>[0];
  await keepDigests(schedules, tenants);
  await keepDigests(schedules, tenants);
  const { schedules: kept } = await client.schedules.list({ type: 'tenant.digest' });
  assert.deepEqual(kept.map(({ id }) => id).sort(), ['digest-acme', 'digest-globex']);
  assert.notEqual(kept[0]?.next[0], kept[1]?.next[0]);
  const { id } = await client.schedules.run('digest-acme');
  const { text } = await client.job<{ text: string }>(id).result(within);
  assert.match(text, /^Digest of acme since yesterday/);
});

test('limited API: two at once over all workers, and a 429 is heeded', async () => {
  const names = ['Ada', 'Grace', 'Edsger', 'Barbara', 'Tony', 'Niklaus'];
  const handles = await Promise.all(names.map((name) => client.submit('api.look-up', { name })));
  const found = await Promise.all(handles.map((handle) => handle.result(within)));
  assert.deepEqual(
    found.map(({ name }) => name),
    names,
  );
  assert.equal(api.calls, names.length + 1);
  assert.ok(api.most <= 2, `${api.most} at once`);
});

test('request and reply: another app asks over Service Bus, by a type', async () => {
  const asks = join(root, 'dist/examples/request-reply/asks.js');
  const ask = (...args: string[]) =>
    run(process.execPath, [asks, stack.serviceBus, ...args], { cwd: root, timeout: 60_000 });
  assert.equal((await ask('book', '3')).stdout, '3 × book: 36 euros\n');
  assert.equal((await ask('boat', '1')).stdout, 'No boat here.\n');
});

test('web page: a page lists further calls, which run as children', async () => {
  const { server, invoiced } = createSite(['acme', 'globex', 'initech']);
  try {
    const url = `${await listen(server)}/nightly`;
    const handle = await client.submit<{ calls: object[] }>({ type: 'web.call', input: { url } });
    assert.equal((await handle.result(within)).calls.length, 3);
    assert.deepEqual(invoiced.sort(), ['acme', 'globex', 'initech']);
  } finally {
    server.close();
  }
});

test('progress: a page of the app follows the job by its events', async () => {
  const page = await fetch(`${stack.url}/api/examples/progress`);
  assert.match(await page.text(), /new EventSource\('\/api\/jobs\/' \+ id \+ '\/events'\)/);
  const { id } = await client.submit('render', { frames: 30 });
  const told: { event: string; data: Record<string, unknown> }[] = [];
  for await (const event of readEvents(`${stack.url}/api/jobs/${id}/events`)) told.push(event);
  const done = told
    .filter(({ event }) => event === 'progress')
    .map(({ data }) => (data['progress'] as { done: number }).done);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  assert.equal(done.at(-1), 30);
  assert.equal(told.at(-1)?.data['state'], 'succeeded');
});

test("Python: Microsoft's own SDK sends a job and gets its reply", async (t) => {
  const python = await findPython();
  if (!python) return t.skip('Python with azure-servicebus is not to be had here');
  const { stdout } = await run(python, [join(root, 'examples/python/send.py'), stack.serviceBus], {
    timeout: 60_000,
  });
  assert.match(stdout, /^prices longhaul\.job\.succeeded \[.*"city": "Delft", "rows": 2/);
});

/** In the environment that `npm run test:sdks` has too; made once. */
async function findPython(): Promise<string | undefined> {
  const places = {
    sources: join(root, 'test/service-bus/sdks'),
    cache: join(root, 'node_modules/.cache/longhaul-sdks'),
  };
  const python = join(places.cache, 'python/bin/python');
  const hasSdk = () =>
    run(python, ['-c', 'import azure.servicebus']).then(
      () => true,
      () => false,
    );
  if (await hasSdk()) return python;
  const fetches = drivers.find(({ language }) => language === 'python')?.fetch(places) ?? [];
  try {
    for (const [command, ...args] of fetches) await run(command, args, { timeout: 60_000 });
  } catch {
    return undefined;
  }
  return (await hasSdk()) ? python : undefined;
}
