/** A careless handler, through the whole stack: its job is told, its process and its neighbours go on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const pidOf = async (id: string) => {
  const { state, result, error } = await client.ended(id, 60_000);
  assert.equal(state, 'succeeded', error?.message);
  return (result as { pid: number }).pid;
};

/** Runs it beside a job that lasts, which has to be run once, by the process that was there before. */
async function beside(type: string, input: object, act?: (id: string) => Promise<unknown>) {
  const before = await pidOf((await client.submit('test.pid', {})).id);
  const neighbour = await client.submit('test.pid', { ms: 3_000 });
  const { id } = await client.submit(type, input);
  await act?.(id);
  const ended = await client.ended(id, 60_000);
  assert.equal(await pidOf(neighbour.id), before, 'the neighbour ran in the process of before');
  assert.equal((await client.get(neighbour.id)).attempt, 1);
  assert.equal(await pidOf((await client.submit('test.pid', {})).id), before);
  return ended;
}

test('a rejection that nobody handles fails its job', async () => {
  const { state, error } = await beside('test.stray', { afterMs: 100, lastsMs: 2_000 });
  assert.deepEqual([state, error?.code], ['failed', 'unhandled_rejection']);
  assert.equal(error?.cause?.message, 'left behind');
});

test('one that comes after the end of its job changes nothing', async () => {
  const { state } = await beside('test.stray', { afterMs: 1_000, lastsMs: 0 });
  assert.equal(state, 'succeeded');
});

test('progress that nobody awaits, beside a cancel and a timeout', async () => {
  const cancelled = await beside('test.chatty', {}, async (id) => {
    await until('it to run', async () => (await client.get(id)).state === 'running');
    await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
  });
  assert.equal(cancelled.state, 'cancelled');
});

test('a step that nobody awaits fails its job, and says so', async () => {
  const { error } = await beside('test.forgetful', {});
  assert.equal(error?.code, 'not_awaited');
});

test('a handler that blocks the process for long ends all the same, once', async () => {
  const { id } = await client.submit('test.blocking', { ms: 8_000 });
  // The worker is that process, and does not answer meanwhile.
  const look = () => client.get(id).catch(() => undefined);
  const { state, attempt } = await until(
    'its end',
    async () => {
      const status = await look();
      return status?.state === 'succeeded' && status;
    },
    90_000,
  );
  assert.deepEqual([state, attempt], ['succeeded', 1]);
});
