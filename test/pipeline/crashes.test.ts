/** What counts against a job. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { watchDeadLetters } from '#longhaul/run/dead-letters.js';
import { type AnyJob, start } from './world/one-job.ts';
import { death } from './world/tamper.ts';
import type { Trouble } from './world/world.ts';

/** Its process dies after the first step, as long as `dies` says so. */
function deadly(dies: (job: AnyJob, times: number) => boolean) {
  const { comes, trouble } = death();
  let times = 0;
  const handler = async (job: AnyJob) => {
    await job.step('first', async () => 'kept');
    if (dies(job, ++times)) comes();
    return job.step('second', async () => 'done');
  };
  return { handler, trouble, times: () => times };
}

describe('a job that ends its process', () => {
  test('fails after its own crashes, and says so', async () => {
    const { handler, trouble, times } = deadly(() => true);
    const ran = await start(handler, {}, { trouble });
    await ran.rest();
    const { state, error, history } = ran.record();
    assert.deepEqual([state, error?.code], ['failed', 'crashed']);
    // One nobody counts, one beside any, one beside three, and three alone.
    assert.equal(times(), 6);
    assert.match(error?.message ?? '', /ended 3 times while it ran this job and nothing else/);
    assert.equal(history?.length, 1, 'its attempts were not used up one by one');
    const letters = ran.world.bus.letters('standard', 0, 10);
    assert.deepEqual(
      letters.map(({ reason }) => reason),
      ['crashed'],
    );
  });

  test('as often as its type says', async () => {
    const { handler, trouble, times } = deadly(() => true);
    const ran = await start(handler, { crashes: 1 }, { trouble });
    await ran.rest();
    assert.deepEqual([ran.record().error?.code, times()], ['crashed', 4]);
  });

  test('and comes further each time goes on', async () => {
    const { comes, trouble } = death();
    let from = -1;
    const ran = await start(
      (job) =>
        job.checkpoint('sum', 0, async (at, save) => {
          from = at;
          if (at === 40) return 'done';
          await save(at + 1);
          comes();
          await save(at + 2);
          return 'never';
        }),
      {},
      { trouble },
    );
    await ran.rest();
    assert.deepEqual([ran.record().state, from], ['succeeded', 40]);
  });

  test('now and then is none the worse for it: an end begins the count anew', async () => {
    const { handler, trouble } = deadly(({ attempt }, times) => {
      if (times % 5 !== 0) return true;
      if (attempt < 3) throw new Error('and tried again');
      return false;
    });
    const ran = await start(handler, {}, { trouble });
    await ran.rest();
    assert.equal(ran.record().state, 'succeeded');
    assert.equal(ran.record().starts, undefined);
  });
});

test('the first delivery of a turn writes no start', async () => {
  let calls = 0;
  const trouble = (): Trouble => {
    calls++;
    return 'none';
  };
  const ran = await start(async () => 1, {}, { trouble });
  const before = calls;
  await ran.rest();
  assert.ok(calls - before <= 5, `${calls - before} calls of storage and bus`);
});

test('a worker that lost its lock, or was told to stop, is no crash', async () => {
  let runs = 0;
  let isIn = false;
  const ran = await start(
    async (job) => {
      isIn = ++runs < 9;
      await job.step('s', async () => 1);
      isIn = false;
      return runs;
    },
    {},
    { trouble: () => (isIn ? 'loses its lock' : 'none') },
  );
  await ran.rest();
  assert.equal(ran.record().state, 'succeeded', ran.record().error?.message);
});

describe('what the broker gave up on', () => {
  const givenUp = async (times: number) => {
    const ran = await start(async () => 'ran');
    const { world } = ran;
    const app = world.app();
    for (let n = 0; n < times; n++) {
      const [taken] = world.bus.ready('completions').flat();
      assert.ok(taken, `it lies in its queue, time ${n}`);
      for (let delivery = 0; delivery < 10; delivery++) world.bus.giveBack(taken);
      await watchDeadLetters(app, 'standard');
      world.now = world.bus.nextVisibleAt() ?? world.now;
    }
    return ran;
  };

  test('is put back, and runs', async () => {
    const began = Date.parse('2026-11-21T12:00:00Z');
    const ran = await givenUp(3);
    assert.deepEqual([ran.record().state, ran.record().putBack], ['queued', 3]);
    // After one minute, two and four.
    assert.equal(ran.world.now - began, 7 * 60_000);
    assert.match(ran.world.logged.join('\n'), /is put back, time 3/);
    await ran.rest();
    assert.deepEqual([ran.record().state, ran.result()], ['succeeded', 'ran']);
  });

  test('ten times, and then its job fails', async () => {
    const ran = await givenUp(11);
    const { state, error, putBack } = ran.record();
    assert.deepEqual([state, error?.code, putBack], ['failed', 'delivery_limit_exceeded', 10]);
  });
});
