/**
 * Upgrading: what an earlier version left in tables, blobs and queues is read by this one and comes to its
 * end. The recordings were made by versions/record.ts; waiting times of then are over.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { azuriteConnectionString, startAzurite } from '#dev/azurite/azurite.js';
import { freePorts } from '#dev/stack/ports.js';
import { startFunctions, startServiceBus } from '#dev/stack/stack.js';
import { createClient, type Status } from '../support/client.ts';
import { root } from '../support/stack.ts';
import { type Kept, putBack } from './versions/kept.ts';

const folder = join(root, 'test/deploy/versions');

/** Bus and storage first, then what was kept, then the app. */
async function startOn(kept: Kept) {
  const data = await mkdtemp(join(tmpdir(), 'longhaul-now-'));
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
  const ports = { http, serviceBus, blob, queue, table };
  const main = 'dist/test/deploy/versions/app.js';
  const options = { root, data, host: '127.0.0.1', ports, main };
  const azurite = await startAzurite({ ...options, data: join(data, 'azurite') });
  const bus = await startServiceBus(options);
  const storage = azuriteConnectionString(options);
  await putBack(kept, storage, bus.ready.connectionString);
  const functions = await startFunctions(options, bus.ready.connectionString, storage);
  return {
    url: `http://127.0.0.1:${functions.ready.port}`,
    bus: bus.ready.connectionString,
    async remove() {
      for (const part of [functions, bus, azurite]) await part.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}

for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json')))
  describe(`left by ${file.slice(0, -5)}`, () => {
    let kept: Kept;
    let stack: Awaited<ReturnType<typeof startOn>>;
    let client: ReturnType<typeof createClient>;
    before(async () => {
      kept = JSON.parse(await readFile(join(folder, file), 'utf8')) as Kept;
      stack = await startOn(kept);
      client = createClient(stack.url);
    });
    after(() => stack?.remove());
    const idOf = (name: string) => kept.jobs[name] ?? '';
    const resultOf = async (name: string): Promise<unknown> => {
      const { state, result, error } = await client.ended(idOf(name));
      assert.equal(state, 'succeeded', `${name}: ${error?.message}`);
      return result;
    };
    const tell = async (name: string) => {
      const headers = { 'content-type': 'application/json' };
      const path = `/jobs/${idOf(name)}/events/go`;
      const told = await client.call(path, { method: 'POST', headers, body: '{"by":"now"}' });
      assert.equal(told.status, 202);
    };

    test('messages in the lanes run: plain, delayed, large, keyed in order with their state', async () => {
      assert.deepEqual(await resultOf('plain'), { next: 2 });
      assert.deepEqual(await resultOf('delayed'), { next: 3 });
      assert.deepEqual(await resultOf('large'), { chars: 200_000 });
      assert.deepEqual(await resultOf('first'), { seen: [1] });
      assert.deepEqual(await resultOf('second'), { seen: [1, 2] });
    });

    test('a reply goes where it was asked for', async () => {
      await resultOf('replied');
      const bus = new ServiceBusClient(stack.bus);
      const [reply] = await bus
        .createReceiver('replies')
        .receiveMessages(1, { maxWaitTimeInMs: 9_000 });
      await bus.close();
      assert.equal(reply?.correlationId, 'then');
      assert.equal(reply?.body.subject, idOf('replied'));
    });

    test('what waited goes on: an event, a sleep, children; a kept step is not run again', async () => {
      await tell('event');
      assert.deepEqual(await resultOf('event'), { drawn: '4 in the first run', by: 'now' });
      assert.deepEqual(await resultOf('sleep'), { n: 6 });
      assert.deepEqual(await resultOf('family'), { sum: 6 });
    });

    test('an attempt that was to come is made, with what the one before kept', async () => {
      assert.deepEqual(await resultOf('again'), { drawn: '7 in attempt 1', attempt: 2 });
    });

    test('what waited is cancelled; what failed is retried; what had ended is still to be had', async () => {
      await client.call(`/jobs/${idOf('cancelled')}/cancel`, { method: 'POST' });
      assert.equal((await client.ended(idOf('cancelled'))).state, 'cancelled');
      assert.equal((await client.get(idOf('failed'))).state, 'failed');
      assert.equal(
        (await client.call(`/jobs/${idOf('failed')}/retry`, { method: 'POST' })).status,
        202,
      );
      assert.deepEqual(await resultOf('failed'), { n: 9 });
      assert.deepEqual(await resultOf('ended'), { text: 'x'.repeat(10) });
      const large = await client.call(`/jobs/${idOf('ended large')}/result`);
      assert.equal(((await large.json()) as { text: string }).text.length, 100_000);
    });

    test('an idempotency key and a unique job stand', async () => {
      const once = { 'idempotency-key': 'then' };
      const again = await client.post({ type: 'kept.event', input: { n: 10 } }, once);
      assert.equal(((await again.json()) as Status).id, idOf('idempotent'));
      const equal = await client.post({ type: 'kept.unique', input: { n: 8 } });
      const { id, deduplicated } = (await equal.json()) as Status;
      assert.deepEqual([id, deduplicated], [idOf('unique'), true]);
      await tell('unique');
      assert.deepEqual(await resultOf('unique'), { n: 8 });
    });

    test('a schedule is listed, run, changed', async () => {
      const shown = await client.call('/schedules/kept');
      assert.equal(((await shown.json()) as { tenant: string }).tenant, 'acme');
      const run = await client.call('/schedules/kept/run', { method: 'POST' });
      const { id } = (await run.json()) as Status;
      assert.deepEqual((await client.ended(id)).result, { next: 12 });
      assert.equal((await client.call('/schedules/kept', { method: 'DELETE' })).status, 204);
    });

    test('all jobs of then are found in the list', async () => {
      const list = (await (await client.call('/jobs?limit=1000')).json()) as { jobs: Status[] };
      const found = new Set(list.jobs.map(({ id }) => id));
      for (const [name, id] of Object.entries(kept.jobs)) assert.ok(found.has(id), name);
    });
  });
