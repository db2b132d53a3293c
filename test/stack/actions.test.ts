/** Many jobs at once: counted, started again, cancelled, deleted. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from '#longhaul/client/http.js';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actions-'));
  stack = await testStack({ settings: { LANES: 'standard' } });
});
after(async () => {
  await stack.remove();
  await rm(folder, { recursive: true });
});

test('all that failed in a time are counted, and started again once each', async () => {
  const app = connect({ url: stack.url });
  const client = createClient(stack.url);
  const from = new Date().toISOString();
  const fixed = join(folder, 'fixed');
  const input = { log: join(folder, 'log'), fixed };
  const ids = await Promise.all(
    Array.from({ length: 250 }, async () => (await client.submit('test.mended', input)).id),
  );
  for (const id of ids) await client.ended(id);
  const filter = { type: 'test.mended', from };
  assert.deepEqual(await app.count({ do: 'retry', filter }), { count: 250, isWhole: true });
  assert.deepEqual(await app.count({ do: 'retry', filter: { ...filter, error: 'ENOSPC' } }), {
    count: 0,
    isWhole: true,
  });
  await writeFile(fixed, 'yes');
  const { id } = await app.act({ do: 'retry', filter, pace: 200, by: 'ada', why: 'disk is back' });
  const action = await client.ended(id);
  assert.deepEqual(action.result, { done: 250, refused: [] });
  for (const one of ids) {
    await until('it has succeeded', async () => (await client.get(one)).state === 'succeeded');
    // Two attempts failed, and this one is the third.
    assert.equal((await client.get(one)).attempt, 3);
  }
});

test('what waits is cancelled, and what has ended is deleted', async () => {
  const app = connect({ url: stack.url });
  const client = createClient(stack.url);
  const submitted = await Promise.all(
    Array.from({ length: 30 }, () =>
      client.submit('test.echo', { value: 1 }, { delay: '1h', requestedBy: 'bob' }),
    ),
  );
  const filter = { requestedBy: 'bob' };
  await assert.rejects(app.job(submitted[0]?.id ?? '').remove(), /cancel it first/);
  await client.ended((await app.act({ do: 'cancel', filter })).id);
  for (const { id } of submitted) assert.equal((await client.get(id)).state, 'cancelled');
  const deleting = await client.ended((await app.act({ do: 'delete', filter })).id);
  assert.equal((deleting.result as { done: number }).done, 30);
  const answers = submitted.map(async ({ id }) => (await client.call(`/jobs/${id}`)).status);
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([410]));
});

test('jobs are found by time, error, a part of their id, and as what they are shown', async () => {
  const app = connect({ url: stack.url });
  const client = createClient(stack.url);
  const ids = async (filter: object) =>
    (await app.list({ type: 'test.failing', ...filter })).jobs.map(({ id }) => id);
  const first = await client.submit('test.failing', { log: join(folder, 'one'), final: true });
  await client.ended(first.id);
  const between = new Date().toISOString();
  const second = await client.submit('test.failing', { log: join(folder, 'two'), final: true });
  await client.ended(second.id);
  assert.deepEqual(await ids({ from: between }), [second.id]);
  assert.deepEqual(await ids({ to: between }), [first.id]);
  assert.deepEqual(await ids({ id: first.id.slice(4, 20) }), [first.id]);
  assert.deepEqual(await ids({ error: 'No use in trying' }), [second.id, first.id]);
  assert.deepEqual(await ids({ error: 'another' }), []);
  const later = await client.submit('test.echo', { value: 1 }, { delay: '1h' });
  const found = async (state: 'queued' | 'scheduled') =>
    (await app.list({ state, id: later.id })).jobs.length;
  assert.deepEqual([await found('queued'), await found('scheduled')], [0, 1]);
  await assert.rejects(app.list({ from: 'yesterday' }), /write a time/);
});

test('an action without a filter is refused', async () => {
  const app = connect({ url: stack.url });
  await assert.rejects(app.act({ do: 'delete', filter: {} }), /The filter is empty/);
});
