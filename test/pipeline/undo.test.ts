/** Undo that is hard to come by. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as hop } from 'node:timers/promises';
import { cancel } from '#longhaul/wait/cancel.js';
import { type Ran, run, start } from './world/one-job.ts';
import { hops } from './world/tamper.ts';

const undone = ({ record }: Ran) =>
  record().undone?.map(({ step, error }) => [step, error?.message]);

test('undo: a kept step is undone, though its branch takes a moment of code and the handler has ended', async () => {
  const taken: string[] = [];
  const ran = await run(
    async (job) => {
      const undo = async (name: string) => void taken.push(name);
      let begin: () => void = () => undefined;
      const begun = new Promise<void>((resolve) => {
        begin = resolve;
      });
      const first = async () => {
        await job.step('a', async () => 'a', { undo });
        await job.step('x', async () => {
          await begun;
          await hops(24);
          throw new Error('for good');
        });
      };
      const second = async () => {
        // A fetch outside of a step: milliseconds.
        await hops(12);
        begin();
        const b = async () => {
          await hops(4);
          return 'b';
        };
        await Promise.all([job.step('b', b, { undo }), job.step('c', async () => 'c', { undo })]);
      };
      return Promise.all([first(), second()]);
    },
    { attempts: 1 },
  );
  assert.deepEqual(taken, ['b', 'c', 'a'], JSON.stringify(undone(ran)));
});

describe('a job ends: its undo comes to an end', () => {
  test('when a given-up step cannot be reached and the handler hangs, as it did when it timed out', async () => {
    let late = 0;
    let declines = true;
    const ran = await start(
      async (job) => {
        try {
          await job.step('card', async () => {
            if (!declines) return 1;
            declines = false;
            throw new Error('declined');
          });
        } catch (cause) {
          await job.step('invoice', async () => 1, { undo: async () => undefined });
          throw new Error('the attempt', { cause });
        }
        // Two attempts, two tries of the undo; the twelfth run is one of a row without end.
        if (++late > 12) return 1;
        return new Promise(() => undefined);
      },
      { attempts: 2, timeout: '1m' },
    );
    await ran.rest();
    assert.ok(late <= 12, `${late} runs: ${JSON.stringify(undone(ran))}`);
  });

  test('when a step was renamed by `formerly`: it is undone', async () => {
    let version = 1;
    let taken = 0;
    let late = 0;
    const ran = await start(
      async (job) => {
        const undo = async () => void taken++;
        if (version === 1) await job.step('a', async () => 1, { undo });
        else await job.step('b', async () => 1, { undo, formerly: ['a'] });
        version = 2;
        if (++late > 12) return 1;
        return new Promise(() => undefined);
      },
      { attempts: 1, timeout: '1m' },
    );
    await ran.rest();
    assert.deepEqual([taken, late <= 12], [1, true], JSON.stringify(undone(ran)));
  });
});

test('an ordered job’s undo is tried with its backoff, also when it was cancelled', async () => {
  const tries: number[] = [];
  const ran = await start(
    async (job) => {
      const undo = async () => {
        tries.push(ran.world.now);
        throw new Error('the other side is down');
      };
      await job.step('book', async () => 1, { undo });
      while (!job.signal.aborted) await hop();
      return 1;
    },
    {
      key: () => 'k',
      ordered: true,
      attempts: 4,
      backoff: { initial: '10m', factor: 1, jitter: false },
    },
  );
  const resting = ran.rest();
  while (ran.record().state !== 'running') await hop();
  await cancel(ran.world.app(), ran.id);
  await resting;
  const gaps = tries.slice(1).map((at, n) => (at - (tries[n] ?? 0)) / 1000);
  assert.ok(
    gaps.every((gap) => gap >= 600),
    `${gaps} seconds between tries`,
  );
});
