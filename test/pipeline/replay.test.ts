/** A run that follows takes the way of the run before it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as hop } from 'node:timers/promises';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { large, run, start } from './world/one-job.ts';

describe('values kept side by side', () => {
  test('two steps in a Promise.all with large values have their own', async () => {
    const { result } = await run(async (job) => {
      const both = await Promise.all([
        job.step('a', async () => large('A')),
        job.step('b', async () => large('B')),
      ]);
      await job.sleep('1m');
      return both.map((value) => value[0]);
    });
    assert.deepEqual(result(), ['A', 'B']);
  });

  test('a loop that saves large cursors beside a step loses neither', async () => {
    const { result } = await run(async (job) => {
      const [rounds, value] = await Promise.all([
        job.checkpoint('loop', { n: 0, text: '' }, async ({ n: from }, save) => {
          let n = from;
          while (n < 5) await save({ n: ++n, text: large('c') });
          return n;
        }),
        job.step('step', async () => large('S')),
      ]);
      await job.sleep('1m');
      return [rounds, value[0]];
    });
    assert.deepEqual(result(), [5, 'S']);
  });

  test('checkpoints over 30,000 characters end on the last, however slow a write is', async () => {
    const ran = new Map<string, number>();
    const { result } = await run(async (job) => {
      const names = Array.from({ length: 12 }, (_, n) => `step ${n}`);
      await Promise.all(
        names.map((name) =>
          job.step(name, async () => {
            ran.set(name, (ran.get(name) ?? 0) + 1);
            return 'x'.repeat(7_000);
          }),
        ),
      );
      await job.sleep('1m');
      return 'done';
    });
    assert.equal(result(), 'done');
    assert.deepEqual([...ran.values()], Array(12).fill(1));
  });
});

describe('a race', () => {
  test('that an event won is not won by the sleep when the hour has passed', async () => {
    const ran = await start(async (job) => {
      const winner = await Promise.race([
        job.sleep('hour', '1h').then(() => 'sleep'),
        job.event('a').then(() => 'event'),
      ]);
      await job.step(`after ${winner}`, async () => winner);
      await job.sleep('long', '3h');
      return winner;
    });
    await tellEvent(ran.world.app(), ran.id, 'a', { n: 1 });
    await ran.rest();
    assert.equal(ran.result(), 'event');
  });

  test('of two steps has the same winner in each run', async () => {
    const { result } = await run(async (job) => {
      const winner = await Promise.race([
        job.step('slow', async () => {
          for (let n = 0; n < 4; n++) await hop();
          return 'slow';
        }),
        job.step('fast', async () => 'fast'),
      ]);
      await job.sleep('1m');
      return winner;
    });
    assert.equal(result(), 'fast');
  });

  test('of a step and an event ends with a result over 30,000 characters', async () => {
    const { result } = await run(async (job) => {
      await Promise.race([job.event('a'), job.step('step', async () => 1)]);
      return 'r'.repeat(40_000);
    });
    assert.equal((result() as string).length, 40_000);
  });

  test('a loser that was begun is kept before the job ends', async () => {
    let done = false;
    const { result } = await run(async (job) => {
      const winner = await Promise.race([
        job.step('fast', async () => 'fast'),
        job.step('slow', async () => {
          for (let n = 0; n < 10; n++) await hop();
          done = true;
          return 'slow';
        }),
      ]);
      return winner;
    });
    assert.equal(result(), 'fast');
    assert.ok(done);
  });
});

test('the reading of a large value counts as work: the step after it begins beside a wait', async () => {
  const began: number[] = [];
  const ran = await start(async (job) => {
    await job.step('large', async () => large('A'));
    const [, second] = await Promise.all([
      job.event('a'),
      (async () => {
        await job.step('also large', async () => large('B'));
        return job.step('after', async () => began.push(job.attempt));
      })(),
    ]);
    return second;
  });
  await ran.rest();
  assert.equal(ran.record().state, 'waiting');
  assert.deepEqual(began, [1]);
});

describe('a failure that the handler caught', () => {
  test('is met again after a wait, and its step is not run again', async () => {
    let runs = 0;
    const { result } = await run(async (job) => {
      let seen = 'nothing';
      try {
        await job.step('notify', async () => {
          runs++;
          throw new TypeError('no mail server');
        });
      } catch (error) {
        seen = `${(error as Error).name}: ${(error as Error).message}`;
      }
      await job.sleep('1m');
      await job.sleep('again', '1m');
      return seen;
    });
    assert.equal(result(), 'TypeError: no mail server');
    assert.equal(runs, 1);
  });

  test('is tried again by another attempt', async () => {
    let runs = 0;
    const { result } = await run(async (job) => {
      const sent = await job
        .step('notify', async () => {
          if (++runs === 1) throw new Error('once');
          return 'sent';
        })
        .catch(() => 'not sent');
      await job.step('after', async () => 1);
      if (job.attempt === 1) throw new Error('the attempt');
      await job.sleep('1m');
      return sent;
    });
    assert.equal(result(), 'sent');
    assert.equal(runs, 2);
  });

  test('and then succeeded under the same name fails and succeeds again', async () => {
    const ways: string[] = [];
    const { result } = await run(async (job) => {
      const way: string[] = [];
      for (let n = 0; n < 3; n++)
        try {
          way.push(
            await job.step('flaky', async () => {
              if (n < 2) throw new Error(`no ${n}`);
              return 'yes';
            }),
          );
          break;
        } catch (error) {
          way.push((error as Error).message);
        }
      await job.sleep('1m');
      ways.push(way.join());
      return way.length;
    });
    assert.equal(result(), 3);
    assert.equal(ways.at(-1)?.split(',').length, 3);
  });

  test('does not keep the undo from the steps after it', async () => {
    const undone: string[] = [];
    const undo = async (name: string) => void undone.push(name);
    const { record } = await run(async (job) => {
      await job.step('hotel', async () => 'hotel', { undo });
      try {
        await job.step('notify', async () => {
          throw new Error('no mail server');
        });
      } catch {}
      await job.step('flight', async () => 'flight', { undo });
      throw new Error('no taxi');
    });
    assert.equal(record().state, 'failed');
    assert.deepEqual(undone, ['flight', 'hotel']);
  });
});

test('the undo of a step behind a large value is registered', async () => {
  const undone: string[] = [];
  await run(async (job) => {
    const [text] = await Promise.all([
      job.step('large', async () => large('L')),
      job.step('beside', async () => 1, { undo: async () => void undone.push('beside') }),
    ]);
    await job.step(`after ${text[0]}`, async () => 2, {
      undo: async () => void undone.push('after'),
    });
    throw new Error('for good');
  });
  assert.deepEqual(undone, ['after', 'beside']);
});

test('a timer wakes a job once, however far behind the clock of its worker is', async () => {
  let runs = 0;
  const ran = await start(async (job) => {
    runs++;
    await job.sleep('1m');
    return runs;
  });
  const behind = ran.world.app;
  ran.world.app = (hands) => {
    const app = behind.call(ran.world, hands);
    const late = () => new Date(ran.world.now - 30_000);
    return runs === 0 ? app : { ...app, clock: { ...app.clock, now: late } };
  };
  await ran.rest();
  assert.equal(ran.record().state, 'succeeded');
  assert.equal(runs, 2);
});
