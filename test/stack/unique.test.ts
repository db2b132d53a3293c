/** Equal jobs, through the whole stack. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePorts } from '#dev/stack/ports.js';
import { startFunctions } from '#dev/stack/stack.js';
import { createClient, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
let log: string;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
  log = join(stack.options.data, 'unique.log');
});
after(() => stack.remove());

const ask = async (type: string, input: object, more: object = {}) => {
  const response = await client.post({ type, input: { log, ms: 0, ...input }, ...more });
  assert.ok([200, 202].includes(response.status), await response.clone().text());
  return { code: response.status, job: (await response.json()) as Status };
};
const runs = async (id: string) =>
  (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes(id)).length;

test('a hundred equal submits at once give one job, which runs once', async () => {
  const asked = await Promise.all(
    Array.from({ length: 100 }, (_, n) =>
      // The order of members and what `by` leaves out make no difference.
      ask('test.unique-finished', { of: n % 2 ? { a: 1, b: 2 } : { b: 2, a: 1 }, ms: 600_000 + n }),
    ),
  );
  const ids = new Set(asked.map(({ job }) => job.id));
  assert.equal(ids.size, 1);
  assert.equal(asked.filter(({ job }) => job['deduplicated'] !== true).length, 1);
  const [id = ''] = ids;
  await until('it runs', async () => (await client.get(id)).state === 'running');
  assert.equal(await runs(id), 1);
  await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
  assert.equal((await client.ended(id)).state, 'cancelled');
  const next = await ask('test.unique-finished', { of: { a: 1, b: 2 } });
  assert.notEqual(next.job.id, id, 'once it has ended another may be made');
});

test('a hundred equal submits to three processes give one job, which runs once', async () => {
  const ports = await freePorts(2);
  const others = await Promise.all(
    ports.map((http) =>
      startFunctions(
        { ...stack.options, ports: { ...stack.options.ports, http } },
        stack.serviceBus,
        stack.storage,
      ),
    ),
  );
  try {
    const clients = [client, ...ports.map((port) => createClient(`http://127.0.0.1:${port}`))];
    const body = { type: 'test.unique-finished', input: { of: { of: 'many' }, log, ms: 6_000 } };
    const asked = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const response = await clients[n % clients.length]?.post(body);
        return (await response?.json()) as Status;
      }),
    );
    const ids = new Set(asked.map(({ id }) => id));
    assert.equal(ids.size, 1);
    assert.equal(asked.filter(({ deduplicated }) => deduplicated !== true).length, 1);
    const [id = ''] = ids;
    assert.equal((await client.ended(id)).state, 'succeeded');
    assert.equal(await runs(id), 1);
  } finally {
    await Promise.all(others.map((other) => other.stop()));
  }
});

test('another input is another job', async () => {
  const [one, two] = await Promise.all(
    [1, 2].map((n) => ask('test.unique-finished', { of: { n }, ms: 500 })),
  );
  assert.notEqual(one?.job.id, two?.job.id);
});

test("until 'started': equal to one that waits, not to one that runs", async () => {
  const input = { of: { x: 'started' }, ms: 3_000 };
  const waiting = await ask('test.unique-started', input, { delay: '1s' });
  const equal = await ask('test.unique-started', input);
  assert.equal(equal.job.id, waiting.job.id);
  assert.equal(equal.job['deduplicated'], true);
  const seen = await client.call(`/jobs/${waiting.job.id}`, {
    headers: { prefer: 'wait=20' },
  });
  assert.equal(((await seen.json()) as Status).state, 'running');
  const another = await ask('test.unique-started', input);
  assert.notEqual(another.job.id, waiting.job.id);
});

test("until 'expiry': the result that was made is given again", async () => {
  const input = { of: { x: 'expiry' } };
  const first = await ask('test.unique-expiry', input);
  await client.ended(first.job.id);
  const again = await ask('test.unique-expiry', input);
  assert.equal(again.code, 200);
  assert.equal(again.job.id, first.job.id);
  assert.deepEqual(again.job.result, { ran: first.job.id });
  assert.equal(again.job['deduplicated'], true);
  assert.equal(await runs(first.job.id), 1);
});

test('a job that failed is in nobody’s way', async () => {
  const input = { of: { fails: true } };
  const first = await ask('test.unique-expiry', input);
  assert.equal((await client.ended(first.job.id)).state, 'failed');
  const second = await ask('test.unique-expiry', input);
  assert.notEqual(second.job.id, first.job.id);
  assert.equal(second.job['deduplicated'], undefined);
});

test('an Idempotency-Key that was answered with an equal job gives that job again', async () => {
  const body = { type: 'test.unique-finished', input: { log, ms: 600_000, of: { x: 'key' } } };
  const first = await ask(body.type, body.input);
  const post = async () =>
    (await (await client.post(body, { 'idempotency-key': 'k-unique' })).json()) as Status;
  assert.equal((await post()).id, first.job.id);
  await client.call(`/jobs/${first.job.id}/cancel`, { method: 'POST' });
  await client.ended(first.job.id);
  assert.equal((await post()).id, first.job.id);
});
