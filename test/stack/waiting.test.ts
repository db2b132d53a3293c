/** Jobs that wait: for time, for events, for their children. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient, type Problem } from '../support/client.ts';
import { readLines } from '../support/lines.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
let files = 0;
const logFile = () => `${stack.options.data}/log-${files++}`;

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const inState = (id: string, state: string) =>
  until(`${id} to be ${state}`, async () => (await client.get(id)).state === state);

describe('sleep', () => {
  test('lets the worker go and goes on at its time, each step done once', async () => {
    const log = logFile();
    const { id } = await client.submit('test.sleeper', { log, ms: 1500 });
    await inState(id, 'waiting');
    const ended = await client.ended(id);
    assert.deepEqual(ended.result, { slept: 1500 });
    assert.equal(ended.attempt, 1);
    const lines = await readLines(log);
    assert.deepEqual(
      lines.map(({ what }) => what),
      ['before', 'after'],
    );
    const [first, second] = lines.map(({ at }) => Number(at));
    assert.ok(Number(second) - Number(first) >= 1450, `after ${Number(second) - Number(first)} ms`);
  });

  test('is cut short by a cancel', async () => {
    const { id } = await client.submit('test.sleeper', { log: logFile(), ms: 3_600_000 });
    await inState(id, 'waiting');
    assert.equal((await client.call(`/jobs/${id}/cancel`, { method: 'POST' })).status, 202);
    assert.equal((await client.ended(id)).state, 'cancelled');
  });
});

const tell = (id: string, name: string, payload: unknown) =>
  client.call(`/jobs/${id}/events/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(payload),
  });

describe('event', () => {
  test('wakes the job with what came, also when it came before the job asked', async () => {
    const { id } = await client.submit('test.approval', { key: 'a' });
    await inState(id, 'waiting');
    assert.equal((await tell(id, 'paid', { euros: 7 })).status, 202);
    assert.equal((await tell(id, 'approved', { by: 'Ada' })).status, 202);
    assert.deepEqual((await client.ended(id)).result, { by: 'Ada', euros: 7 });
  });

  test('holds up nobody of the same key while it is awaited', async () => {
    const { id } = await client.submit('test.approval', { key: 'shared' });
    await inState(id, 'waiting');
    const other = await client.submit('test.total', { key: 'shared', n: 1 });
    assert.equal((await client.ended(other.id)).state, 'succeeded');
    await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
    await client.ended(id);
  });

  test('that does not come in time is an error', async () => {
    const { id } = await client.submit('test.approval', { timeout: '300ms', key: 'b' });
    const { state, error } = await client.ended(id);
    assert.equal(state, 'failed');
    assert.equal(error?.code, 'event_timeout');
  });

  test('is refused when it fits no schema, is unknown, came before, or the job has ended', async () => {
    const { id } = await client.submit('test.approval', { key: 'c' });
    await inState(id, 'waiting');
    const refusal = async (name: string, payload: unknown) => {
      const response = await tell(id, name, payload);
      return [response.status, ((await response.json()) as Problem).code];
    };
    assert.deepEqual(await refusal('approved', { by: 3 }), [422, 'invalid_input']);
    assert.deepEqual(await refusal('refused', {}), [404, 'unknown_event']);
    assert.equal((await tell(id, 'paid', { euros: 1 })).status, 202);
    await until('the event on record', async () =>
      ((await client.get(id))['events'] as string[] | undefined)?.includes('paid'),
    );
    assert.deepEqual(await refusal('paid', { euros: 2 }), [409, 'event_received']);
    await tell(id, 'approved', { by: 'Bob' });
    assert.deepEqual((await client.ended(id)).result, { by: 'Bob', euros: 1 });
    assert.deepEqual(await refusal('paid', { euros: 3 }), [409, 'job_ended']);
    assert.equal((await tell('none', 'paid', {})).status, 404);
  });
});

describe('children', () => {
  test('give their results in order, and the parent shows how many have ended', async () => {
    const { id } = await client.submit('test.squares', { to: 30, ms: 200 });
    await inState(id, 'waiting');
    const { progress } = await client.get(id);
    assert.equal(progress?.of, 30);
    const ended = await client.ended(id);
    assert.deepEqual(ended.result, { sum: 8555, count: 30 });
    assert.deepEqual(ended['children'], { squares: { of: 30, succeeded: 30, ended: 30 } });
    const listed = await client.call(`/jobs?parent=${id}&limit=100`);
    const { jobs } = (await listed.json()) as { jobs: { state: string; parent: string }[] };
    assert.equal(jobs.length, 30);
    assert.ok(jobs.every(({ state, parent }) => state === 'succeeded' && parent === id));
  });

  test('none at all is an empty list', async () => {
    const { id } = await client.submit('test.squares', { to: 0 });
    assert.deepEqual((await client.ended(id)).result, { sum: 0, count: 0 });
  });

  test('run no more at once than their limit', async () => {
    const log = logFile();
    const { id } = await client.submit('test.squares', { to: 12, limit: 2, log, ms: 60 });
    assert.deepEqual((await client.ended(id)).result, { sum: 506, count: 12 });
    let running = 0;
    for (const { what } of await readLines(log)) {
      running += what === 'begin' ? 1 : -1;
      assert.ok(running <= 2, `${running} at once`);
    }
  });

  test('one that fails fails its parent at once, and those that have not ended are cancelled', async () => {
    const { id } = await client.submit('test.squares', { from: -1, to: 8, limit: 1, ms: 300 });
    const { state, error } = await client.ended(id);
    assert.equal(state, 'failed');
    assert.equal(error?.code, 'child_failed');
    assert.match(error?.cause?.message ?? '', /-1 has no root/);
    await until('the end of every child', async () => {
      const response = await client.call(`/jobs?parent=${id}`);
      const { jobs } = (await response.json()) as { jobs: { state: string }[] };
      const states = jobs.map((job) => job.state);
      return states.includes('cancelled') && !states.some((s) => ['queued', 'running'].includes(s));
    });
  });

  test('that may fail are settled', async () => {
    const { id } = await client.submit('test.squares-settled', { ns: [2, -3, 4] });
    const { result } = await client.ended(id);
    assert.deepEqual((result as string[])[0], '4');
    assert.match((result as string[])[1] ?? '', /Child 1 .* ended as failed/);
    assert.deepEqual((result as string[])[2], '16');
  });

  test('have children of their own, three deep', async () => {
    const { id } = await client.submit('test.tree', { depth: 3, width: 3 });
    assert.deepEqual((await client.ended(id, 60_000)).result, { size: 40 });
  });

  test('are cancelled with their parent, three deep', async () => {
    const { id } = await client.submit('test.tree', { depth: 3, width: 2, ms: 60_000 });
    await until('the leaves', async () => {
      const response = await client.call('/jobs?type=test.tree&state=running');
      return ((await response.json()) as { jobs: unknown[] }).jobs.length >= 8;
    });
    await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
    assert.equal((await client.ended(id)).state, 'cancelled');
    await until('the end of the whole tree', async () => {
      const response = await client.call('/jobs?type=test.tree&limit=1000');
      const { jobs } = (await response.json()) as { jobs: { state: string }[] };
      return jobs.every(({ state }) => ['succeeded', 'cancelled'].includes(state));
    });
  });
});
