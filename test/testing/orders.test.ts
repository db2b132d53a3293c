/** `longhaul/testing` from end to end, on the job of `orders.ts`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JobFailedError } from 'longhaul/client/errors';
import { surviveCrashes, testJob } from 'longhaul/testing';
import { createShop, orders } from './orders.ts';

const now = '2026-01-01T00:00:00.000Z';

describe('a job that waits', () => {
  test('goes on when the event has come and the time has passed', async () => {
    const { done, shop } = createShop();
    const run = testJob(orders(shop), { item: 'book' }, { now });
    await run.until('waiting');
    assert.deepEqual(run.status.waits, { until: '2026-01-03T00:00:00.000Z', events: ['approved'] });
    await run.event('approved', { by: 'ada' });
    await run.until('waiting');
    assert.deepEqual(run.status.waits, { until: '2026-01-04T00:00:00.000Z' });
    await run.skip('2d');
    assert.equal(run.state, 'waiting');
    await run.skip('1d');
    assert.deepEqual(await run.result, { parcel: 'p1', by: 'ada' });
    assert.equal(run.status.finishedAt, '2026-01-04T00:00:00.000Z');
    assert.deepEqual(done, ['charge book', 'ship book']);
    assert.equal(run.files['receipt.txt']?.text, 'book: c1');
    assert.equal(run.files['receipt.txt']?.contentType, 'text/plain');
    assert.deepEqual(run.logs, ['shipped p1']);
    const [reply] = run.replies;
    assert.equal(run.replies.length, 1);
    assert.equal(reply?.type, 'longhaul.job.succeeded');
    assert.deepEqual(reply?.data.result, { parcel: 'p1', by: 'ada' });
  });

  test('may be told before it waits', async () => {
    const run = testJob(orders(createShop().shop), { item: 'book' });
    await run.event('approved', { by: 'ada' });
    await run.until('waiting');
    await run.skip('3d');
    assert.deepEqual(await run.result, { parcel: 'p1', by: 'ada' });
  });

  test('fails by the timeout of its event, and what it did is undone', async () => {
    const { done, shop } = createShop();
    const run = testJob(orders(shop), { item: 'book' });
    await run.skip('2d');
    await assert.rejects(run.result, (error: JobFailedError) => {
      assert.ok(error instanceof JobFailedError);
      assert.equal(error.state, 'failed');
      assert.equal((error.cause as Error).name, 'EventTimeoutError');
      return true;
    });
    assert.deepEqual(run.undone, ['charge']);
    assert.deepEqual(done, ['charge book', 'refund c1']);
    assert.equal(run.replies[0]?.type, 'longhaul.job.failed');
  });

  test('is cancelled, and undone', async () => {
    const { done, shop } = createShop();
    const run = testJob(orders(shop), { item: 'book' });
    await run.until('waiting');
    await run.cancel();
    await assert.rejects(run.result, /ended as cancelled/);
    assert.equal(run.state, 'cancelled');
    assert.deepEqual(done, ['charge book', 'refund c1']);
  });

  test('is told an event as the API takes it: checked, known, once', async () => {
    const run = testJob(orders(createShop().shop), { item: 'book' });
    await assert.rejects(run.event('approved', { by: 1 as never }), /\/by/);
    // @ts-expect-error no such event
    await assert.rejects(run.event('refused', {}), { code: 'unknown_event' });
    await run.event('approved', { by: 'ada' });
    await run.until('waiting');
    await assert.rejects(run.event('approved', { by: 'bob' }), { code: 'event_received' });
  });
});

describe('what a test gets wrong is told', () => {
  test('a result while it waits', async () => {
    const run = testJob(orders(createShop().shop), { item: 'book' }, { now });
    await assert.rejects(run.result, {
      message: `Job ${run.id} (orders) is waiting: it waits for event 'approved', until 2026-01-03T00:00:00.000Z. Call run.event('approved', …) or run.skip.`,
    });
  });

  test('a state that does not come', async () => {
    const run = testJob(orders(createShop().shop), { item: 'book' }, { now });
    await assert.rejects(
      run.until('succeeded'),
      /waits for event 'approved'.* It was to be succeeded/,
    );
    await run.event('approved', { by: 'nobody' });
    await assert.rejects(run.until('waiting'), /has failed: NonRetryableError: Nobody may approve/);
  });

  test('an input that the type refuses', async () => {
    const run = testJob(orders(createShop().shop), { item: 1 as never });
    assert.throws(() => run.state, /not accepted yet/);
    await assert.rejects(run.until('waiting'), { code: 'invalid_input' });
  });
});

test('it comes through a death at any call, with each step done once', async () => {
  const deaths = await surviveCrashes(async (options) => {
    const { done, shop } = createShop();
    const run = testJob(orders(shop), { item: 'book' }, options);
    await run.until('waiting');
    await run.event('approved', { by: 'ada' });
    await run.skip('3d');
    return { result: await run.result, files: Object.keys(run.files), steps: [...new Set(done)] };
  });
  assert.ok(deaths > 15, `there were ${deaths} places to die`);
});

test('it is undone whatever dies meanwhile', async () => {
  await surviveCrashes(async (options) => {
    const { done, shop } = createShop();
    const run = testJob(orders(shop), { item: 'book' }, options);
    await run.event('approved', { by: 'nobody' });
    await run.until('failed');
    return { undone: run.undone, last: done.at(-1) };
  });
});
