/** What an operator asks at night: what lies where, who works, and why this job waits. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
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
  folder = await mkdtemp(join(tmpdir(), 'state-'));
  // Nobody works off bulk and heavy.
  stack = await testStack({ settings: { LANES: 'urgent,standard', JOBS_AT_ONCE: '2' } });
});
after(async () => {
  await stack.remove();
  await rm(folder, { recursive: true });
});

const reasons = async (id: string) => {
  const { reasons } = await connect({ url: stack.url }).job(id).why();
  return Object.fromEntries(reasons.map(({ code, message }) => [code, message]));
};

test('a job without a worker, and its lane', async () => {
  const app = connect({ url: stack.url });
  const client = createClient(stack.url);
  const input = { log: join(folder, 'log'), name: 'n' };
  const { id } = await client.submit('test.prioritised', input, { priority: 'bulk' });
  const said = await reasons(id);
  assert.match(said['no-worker'] ?? '', /serves the lane bulk/);
  assert.match(said['queued'] ?? '', /with 0 messages before it/);
  const lanes = await app.queues();
  const bulk = lanes.find(({ lane }) => lane === 'bulk');
  assert.deepEqual([bulk?.queues[0]?.active, bulk?.workers], [1, 0]);
  assert.ok(bulk?.queues[0]?.oldestAt);
  const standard = lanes.find(({ lane }) => lane === 'standard');
  assert.deepEqual([standard?.workers, standard?.places], [1, 2]);
  const [worker, ...others] = await app.workers();
  assert.equal(others.length, 0);
  assert.deepEqual(worker?.lanes, ['urgent', 'standard']);
});

test('a job that runs, one behind it on its key, and one that is due later', async () => {
  const client = createClient(stack.url);
  const slow = { log: join(folder, 'slow'), key: 'k', n: 1, ms: 8_000 };
  const first = await client.submit('test.keyed', slow);
  await until('it runs', async () => (await client.get(first.id)).state === 'running');
  const second = await client.submit('test.keyed', { ...slow, n: 2, ms: 0 });
  const later = await client.submit('test.echo', { value: 1 }, { delay: '1h' });
  assert.match((await reasons(first.id))['running'] ?? '', /Attempt 1 runs since/);
  assert.match(
    (await reasons(second.id))['behind'] ?? '',
    new RegExp(`Job ${first.id} .* has the key 'k'`),
  );
  assert.match((await reasons(later.id))['scheduled'] ?? '', /is due at/);
  await client.ended(second.id);
  assert.match((await reasons(second.id))['ended'] ?? '', /It ended as succeeded/);
});

test('a job that waits for an event, for children, for a pause', async () => {
  const client = createClient(stack.url);
  const { pauses } = connect({ url: stack.url });
  const approval = await client.submit('test.approval', {});
  await until('it waits', async () => (await client.get(approval.id)).state === 'waiting');
  const event = Object.entries(await reasons(approval.id)).find(([code]) => code === 'event');
  assert.match(event?.[1] ?? '', /POST \/api\/jobs\/.*\/events\//);
  await pauses.pause('type', 'test.echo', { by: 'ada', why: 'the database moves', until: '2h' });
  const echo = await until('one that waits', async () => {
    const { id } = await client.submit('test.echo', { value: 1 });
    await until('it is taken', async () => (await client.get(id)).state !== 'queued');
    return (await client.get(id)).state === 'waiting' && id;
  });
  assert.match((await reasons(echo))['paused'] ?? '', /paused since .* by ada: the database moves/);
  await pauses.resume('type', 'test.echo');
});

test('a job that is not there', async () => {
  const answer = await fetch(`${stack.url}/api/jobs/none/why`);
  assert.equal(answer.status, 404);
});
