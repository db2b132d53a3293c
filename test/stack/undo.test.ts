/** Compensation, session state, order, and the errors of handlers that use these wrongly. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { createClient } from '../support/client.ts';
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

const whats = async (log: string) => (await readLines(log)).map(({ what }) => what);
const booked = ['book stock', 'book payment', 'book parcel'];
const undone = ['undo parcel', 'undo payment', 'undo stock'];
const namesOf = (status: { [more: string]: unknown }) =>
  (status['undone'] as { step: string; error?: { message: string } }[]).map(({ step, error }) =>
    error ? `${step}: ${error.message}` : step,
  );

describe('undo', () => {
  test('runs in reverse order once the job has failed for good, and is on record', async () => {
    const log = logFile();
    const { id } = await client.submit('test.order', { log, fails: 'error' });
    const ended = await client.ended(id);
    assert.equal(ended.state, 'failed');
    assert.equal(ended.error?.message, 'No courier');
    assert.deepEqual(await whats(log), [...booked, ...undone]);
    assert.deepEqual(namesOf(ended), ['parcel', 'payment', 'stock']);
  });

  test('does not run for a job that succeeds', async () => {
    const log = logFile();
    const { id } = await client.submit('test.order', { log });
    assert.equal((await client.ended(id)).state, 'succeeded');
    assert.deepEqual(await whats(log), booked);
  });

  test('runs when a waiting job is cancelled', async () => {
    const log = logFile();
    const { id } = await client.submit('test.order', { log, fails: 'wait' });
    await until('it to wait', async () => (await client.get(id)).state === 'waiting');
    await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
    const ended = await client.ended(id);
    assert.equal(ended.state, 'cancelled');
    assert.deepEqual(await whats(log), [...booked, ...undone]);
  });

  test('is tried again where it fails', async () => {
    const log = logFile();
    const { id } = await client.submit('test.order', { log, fails: 'error', undoFails: 1 });
    const ended = await client.ended(id);
    assert.deepEqual(namesOf(ended), ['parcel', 'payment', 'stock']);
    assert.deepEqual(await whats(log), [
      ...booked,
      ...['undo parcel', 'undo payment', 'undo payment', 'undo stock'],
    ]);
  });

  test('that fails each time is on record, and the others are undone all the same', async () => {
    const log = logFile();
    const { id } = await client.submit('test.order', { log, fails: 'error', undoFails: 99 });
    const ended = await client.ended(id);
    assert.equal(ended.state, 'failed');
    assert.deepEqual(namesOf(ended), ['parcel', 'payment: The bank is closed', 'stock']);
  });

  test('lets the steps be done again when the job is started again', async () => {
    const log = logFile();
    const mended = logFile();
    const { id } = await client.submit('test.order', { log, mended });
    assert.equal((await client.ended(id)).state, 'failed');
    await writeFile(mended, '');
    assert.equal((await client.call(`/jobs/${id}/retry`, { method: 'POST' })).status, 202);
    assert.equal((await client.ended(id)).state, 'succeeded');
    assert.deepEqual(await whats(log), [...booked, ...undone, ...booked]);
  });
});

test('the state of a key passes from job to job, and an attempt that is repeated counts once', async () => {
  const jobs = [];
  for (const n of [1, 2, 3, 4])
    jobs.push(await client.submit('test.total', { key: 'sum', n, fails: n === 2 }));
  const sums = [];
  for (const { id } of jobs) sums.push(((await client.ended(id)).result as { sum: number }).sum);
  assert.equal(Math.max(...sums), 10);
  const other = await client.submit('test.total', { key: 'other', n: 5 });
  assert.deepEqual((await client.ended(other.id)).result, { sum: 5 });
});

test('ordered jobs keep their order through retries', async () => {
  const log = logFile();
  const jobs = [];
  for (const n of [1, 2, 3])
    jobs.push(await client.submit('test.ordered', { log, key: 'o', n, failures: n === 3 ? 0 : n }));
  for (const { id } of jobs) assert.equal((await client.ended(id)).state, 'succeeded');
  const seen = (await readLines(log)).map(({ n, attempt }) => `${n}.${attempt}`);
  assert.deepEqual(seen, ['1.1', '1.2', '2.1', '2.2', '2.3', '3.1']);
});

describe('a handler that', () => {
  for (const [what, how, code] of [
    ['uses a name twice', 'twice', 'step_repeated'],
    ['waits inside a step', 'nested', 'non_retryable'],
    ['asks for a session without a key', 'no session', 'no_session'],
  ] as const)
    test(`${what} fails at once and is told why`, async () => {
      const { id } = await client.submit('test.wrongly', { how });
      const { state, error, attempt } = await client.ended(id);
      assert.deepEqual([state, error?.code, attempt], ['failed', code, 1]);
    });

  test('keeps megabytes in a step has them in a blob', async () => {
    const { id } = await client.submit('test.wrongly', { how: 'huge' });
    assert.deepEqual((await client.ended(id)).result, { length: 2_000_000 });
  });
});
