/** Time stands still for jobs that wait, and passes for handlers that do something. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { defineJob, type Job, type JobPolicy, RetryAfterError } from 'longhaul';
import { testJob } from 'longhaul/testing';
import { z } from 'zod';

const now = '2026-01-01T00:00:00.000Z';
const nothing = z.object({});

const typeOf = <T>(
  run: (job: Job<Record<never, z.ZodType>>) => Promise<T>,
  policy: JobPolicy<object> = {},
) =>
  defineJob({ type: 'task', input: nothing, ...policy, run: async (_, job) => run(job) as never });

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('a handler that does something for real', () => {
  test('reads and writes files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'longhaul-testing-'));
    const type = typeOf(async (job) => {
      await job.step('write', () => writeFile(join(folder, 'a'), 'b').then(() => null));
      await job.sleep('1h');
      return job.step('read', () => readFile(join(folder, 'a'), 'utf8'));
    });
    const run = testJob(type, {});
    await run.skip('1h');
    assert.equal(await run.result, 'b');
    await rm(folder, { recursive: true });
  });

  test('calls a server', async () => {
    const server = createServer((_, response) => void setTimeout(() => response.end('hello'), 20));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const type = typeOf(async (job) => {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: job.signal });
      return answer.text();
    });
    assert.equal(await testJob(type, {}).result, 'hello');
    server.close();
  });

  test('waits a moment, also in a step that it does not wait for', async () => {
    let ended = false;
    const type = typeOf(async (job) => {
      await delay(20);
      const slow = () =>
        delay(50).then(() => {
          ended = true;
          return 'slow';
        });
      return Promise.race([job.step('slow', slow), job.step('fast', () => delay(5, 'fast'))]);
    });
    const run = testJob(type, {}, { now });
    assert.equal(await run.result, 'fast');
    assert.equal(ended, true);
    assert.equal(run.status.finishedAt, now, 'the clock has not moved');
  });

  test('runs to its next wait before time is skipped', async () => {
    const type = typeOf(
      async (job) => {
        await delay(50);
        await job.sleep('1d');
        await delay(50);
        return job.attempt;
      },
      { timeout: '1m' },
    );
    const run = testJob(type, {});
    await run.skip('1d');
    assert.equal(await run.result, 1);
  });
});

describe('the timeout', () => {
  const slow = (policy: JobPolicy<object>) => typeOf((job) => untilAborted(job.signal), policy);

  test('comes when time is skipped past it while the handler runs', async () => {
    const run = testJob(slow({ timeout: '5m', attempts: 1 }), {});
    await run.until('running');
    assert.equal(run.state, 'running');
    await run.skip('4m');
    assert.equal(run.state, 'running');
    await run.skip('1m');
    await assert.rejects(run.result, /ended as failed/);
    assert.equal(run.status.error?.code, 'timeout');
  });

  test('of each attempt', async () => {
    const run = testJob(slow({ timeout: '5m', attempts: 2, backoff: { initial: '1m' } }), {});
    await run.until('running');
    await run.skip('5m');
    assert.equal(run.state, 'queued');
    await run.until('running');
    assert.equal(run.attempt, 2);
    await run.skip('5m');
    await assert.rejects(run.result, /timeout|5m/);
  });

  test('comes also to a handler that does not heed it', async () => {
    const deaf = typeOf(() => new Promise<never>(() => undefined), { timeout: '5m', attempts: 1 });
    const run = testJob(deaf, {});
    await run.until('running');
    await run.skip('6m');
    await assert.rejects(run.result, /5m/);
  });

  test('is not what a handler runs into that hangs: the test is told', async () => {
    const hangs = typeOf(async (job) => job.step('ask', () => new Promise<null>(() => undefined)));
    const run = testJob(hangs, {}, { patience: '300ms' });
    await assert.rejects(
      run.result,
      /Job .* \(the handler, step 'ask'\) did not come to an end in 0.3 s/,
    );
    run.crash();
    await assert.rejects(run.result, /did not come to an end/);
  });

  test('is not waited for where a handler goes on and on either', async () => {
    const busy = typeOf(async (job) => {
      for (let n = 0; ; n++) await job.step(`${n}`, async () => null);
    });
    const run = testJob(busy, {}, { patience: '500ms' });
    await assert.rejects(run.result, /did not come to an end in 0.5 s/);
  });

  test('comes by itself when that much time has really passed', async () => {
    const run = testJob(slow({ timeout: '1s', attempts: 1 }), {}, { now });
    await assert.rejects(run.result, /1s/);
    assert.equal(run.status.finishedAt, '2026-01-01T00:00:01.000Z', 'and the clock says so');
  });
});

describe('a cancel', () => {
  const slow = typeOf((job) => untilAborted(job.signal));

  test('reaches a handler that runs, when time is skipped or in real time', async () => {
    for (const waits of [true, false]) {
      const run = testJob(slow, {});
      await run.until('running');
      await run.cancel();
      if (waits) await run.skip('2s');
      await run.until('cancelled');
    }
  });

  test('comes before the job', async () => {
    const run = testJob(slow, {});
    await run.cancel();
    assert.equal(run.state, 'cancelled');
    await assert.rejects(run.result, { state: 'cancelled' });
  });
});

describe('another attempt', () => {
  const failing = (failures: number, policy: JobPolicy<object> = {}) =>
    typeOf(
      async (job) => {
        if (job.attempt <= failures) throw new Error(`attempt ${job.attempt}`);
        return job.attempt;
      },
      { backoff: { initial: '10s', jitter: false }, ...policy },
    );

  test('comes after its pause, which a result passes over', async () => {
    const run = testJob(failing(3), {}, { now });
    assert.equal(await run.result, 4);
    assert.equal(run.status.finishedAt, '2026-01-01T00:01:10.000Z');
    assert.equal(run.logs.length, 3);
  });

  test('is there to be seen before it', async () => {
    const run = testJob(failing(1), {}, { now });
    await run.skip('0s');
    await run.until('queued');
    assert.equal(run.status.runAt, '2026-01-01T00:00:10.000Z');
    assert.equal(run.attempt, 2);
    await run.skip('9s');
    assert.equal(run.state, 'queued');
    await run.skip('1s');
    assert.equal(run.state, 'succeeded');
  });

  test('of one that is ordered comes as well', async () => {
    const run = testJob(failing(2, { key: () => 'k', ordered: true }), {}, { now });
    assert.equal(await run.result, 3);
    assert.equal(run.status.finishedAt, '2026-01-01T00:00:30.000Z');
  });

  test('when the handler says so', async () => {
    const type = typeOf(async (job) => {
      if (job.attempt === 1) throw new RetryAfterError('busy', 3_600_000);
      return 'there';
    });
    const run = testJob(type, {}, { now });
    assert.equal(await run.result, 'there');
    assert.equal(run.status.finishedAt, '2026-01-01T01:00:00.000Z');
  });

  test('is asked for when all have failed', async () => {
    let works = false;
    const type = typeOf(
      async () => {
        if (!works) throw new Error('no');
        return 'yes';
      },
      { attempts: 2 },
    );
    const run = testJob(type, {});
    await run.until('failed');
    works = true;
    await run.retry();
    assert.equal(await run.result, 'yes');
    assert.equal(run.attempt, 3);
    assert.deepEqual(
      run.replies.map(({ type }) => type),
      ['longhaul.job.failed', 'longhaul.job.succeeded'],
    );
  });
});

describe('a request', () => {
  test('that is delayed waits for its time', async () => {
    const run = testJob(
      typeOf(async () => 1),
      {},
      { delay: '1h', now },
    );
    await run.until('scheduled');
    await assert.rejects(run.result, /is to start at 2026-01-01T01:00:00.000Z. Call run.skip/);
    await run.skip('1h');
    assert.equal(await run.result, 1);
  });

  test('that starts too late expires', async () => {
    const run = testJob(
      typeOf(async () => 1),
      {},
      { delay: '1h', startBefore: '0s' },
    );
    await run.skip('2h');
    await assert.rejects(run.result, /ended as expired/);
  });

  test('says who asks', async () => {
    const type = typeOf(async (job) => job.requester);
    const run = testJob(type, {}, { requestedBy: 'ada', correlationId: 'c' });
    assert.deepEqual(await run.result, { requestedBy: 'ada' });
    assert.equal(run.status.requestedBy, 'ada');
  });
});

test('progress is there while the handler runs', async () => {
  let go: () => void = () => undefined;
  const type = typeOf(async (job) => {
    await job.progress({ done: 1, of: 2 });
    await new Promise<void>((resolve) => {
      go = resolve;
    });
    await job.progress({ done: 2, of: 2 });
    return null;
  });
  const run = testJob(type, {});
  await run.until('running');
  assert.deepEqual(run.progress, { done: 1, of: 2 });
  go();
  await run.result;
  assert.deepEqual(run.progress, { done: 2, of: 2 });
});
