/** What was kept, and what a handler was told, in the face of slow and failing storage. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as hop } from 'node:timers/promises';
import { z } from 'zod';
import { cancel } from '#longhaul/wait/cancel.js';
import { type Handler, run, start } from './world/one-job.ts';
import { diesDuringItsFirstWrite, hops, slowRecords, tamper } from './world/tamper.ts';
import type { Trouble } from './world/world.ts';

test('effect once, and a blip costs no attempt: the blob of a checkpoint fails once after a step was done', async () => {
  const bad: string[] = [];
  for (let at = 1; at < 40; at++) {
    let call = 0;
    const runs = new Map<string, number>();
    const ran = await start(
      async (job) => {
        for (let n = 0; n < 6; n++)
          await job.step(`s${n}`, async () => {
            runs.set(`s${n}`, (runs.get(`s${n}`) ?? 0) + 1);
            return 'x'.repeat(7_900);
          });
        await job.sleep('1m');
        return job.attempt;
      },
      {},
      { trouble: () => (++call === at ? 'fails before' : 'none') },
    );
    await ran.rest();
    const twice = [...runs].filter(([, times]) => times > 1).map(([name]) => name);
    if (twice.length > 0 || ran.record().attempt > 1)
      bad.push(`call ${at}: run twice: ${twice}; attempt ${ran.record().attempt}`);
  }
  assert.deepEqual(bad, []);
});

test('effect once: the blob of one value fails once, and what was done beside it is not done again', async () => {
  const bad: string[] = [];
  for (let at = 1; at < 12; at++) {
    let call = 0;
    let runs = 0;
    const ran = await start(
      (job) =>
        Promise.all([
          job.step('large', async () => 'x'.repeat(9_000)),
          job.step('pay', async () => {
            await hops(2);
            return ++runs;
          }),
        ]),
      {},
      { trouble: () => (++call === at ? 'fails before' : 'none') },
    );
    await ran.rest();
    if (runs > 1) bad.push(`call ${at}: paid ${runs} times; ${ran.world.logged[0]}`);
  }
  assert.deepEqual(bad, []);
});

describe('what was kept beside a wait is not lost by the checkpoint that the wait writes', () => {
  test('a step whose value was kept is not run again', async () => {
    const bad: string[] = [];
    for (let at = 1; at < 16; at++) {
      let runs = 0;
      const ran = await start(async (job) => {
        const beside = async () => {
          void job.progress({ done: 1 });
          void job.progress({ done: 2 });
          await hops(at);
          return job.step('pay', async () => {
            await hops(10);
            return ++runs;
          });
        };
        const [paid] = await Promise.all([beside(), job.sleep('1h')]);
        return paid;
      });
      slowRecords(ran, 4);
      await ran.rest();
      if (runs !== 1) bad.push(`begun after ${at} turns: ${runs} runs`);
    }
    assert.deepEqual(bad, []);
  });

  test('a step whose value was kept is undone when the waiting job is cancelled', async () => {
    const bad: string[] = [];
    for (let at = 1; at < 16; at++) {
      const did: string[] = [];
      let isAsked = false;
      const ran = await start(async (job) => {
        const beside = async () => {
          void job.progress({ done: 1 });
          void job.progress({ done: 2 });
          await hops(at);
          const pay = async () => {
            await hops(10);
            return did.push('pay');
          };
          return job.step('pay', pay, { undo: async () => void did.push('refund') });
        };
        return Promise.all([beside(), job.sleep('1h')]);
      });
      slowRecords(ran, 4);
      const { bus } = ran.world;
      const send = bus.send.bind(bus);
      bus.send = (message) => {
        send(message);
        if (ran.record().state !== 'waiting' || isAsked) return;
        isAsked = true;
        void cancel(ran.world.app(), ran.id).catch(() => undefined);
      };
      await ran.rest();
      if (did.join() === 'pay') bad.push(`${at}: ${ran.record().state}, ${did}`);
    }
    assert.deepEqual(bad, []);
  });

  test('a cursor is still there after the wait: the job does not fail for good', async () => {
    const bad: string[] = [];
    for (let k = 2; k < 12; k++) {
      const ran = await start(async (job) => {
        for (let n = 0; n < 4; n++) await job.step(`s${n}`, async () => 'x'.repeat(7_900));
        const loop = job.checkpoint('loop', { n: 0, text: '' }, async (from, save) => {
          for (let { n } = from; n < 5; n++) {
            await save({ n: n + 1, text: 'c'.repeat(9_000) });
            await hops(k);
          }
          return 'loop';
        });
        const [, value] = await Promise.all([job.sleep('1h'), loop]);
        return value;
      });
      tamper(ran, ({ blobs }) => ({
        blobs: {
          ...blobs,
          write: async (...args) => {
            await hops(8);
            return blobs.write(...args);
          },
        },
      }));
      await ran.rest();
      if (ran.record().state !== 'succeeded') bad.push(`${k}: ${ran.record().error?.message}`);
    }
    assert.deepEqual(bad, []);
  });
});

describe('what a handler was told is on record before it acts on it', () => {
  const paying =
    (done: string[], otherwise: Handler): Handler =>
    async (job) => {
      try {
        await job.step('card', async () => {
          if (done.length > 0) return done.push('card');
          done.push('declined');
          throw new Error('declined');
        });
      } catch {
        await otherwise(job);
      }
      return 1;
    };

  test('also before a step that begins while the write of it is under way', async () => {
    const done: string[] = [];
    const hands = { dies: false };
    const handler = paying(done, (job) =>
      Promise.all([
        job.step('note', async () => 1),
        (async () => {
          await hops(2);
          return job.step('invoice', async () => done.push('invoice'));
        })(),
      ]),
    );
    const trouble = (): Trouble => (hands.dies ? 'dies before' : 'none');
    const ran = await start(handler, {}, { trouble });
    diesDuringItsFirstWrite(ran, hands, 12);
    await ran.rest();
    assert.ok(!(done.includes('card') && done.includes('invoice')), done.join());
  });

  test('also before a file is written', async () => {
    const both: string[] = [];
    for (let at = 1; at < 10; at++) {
      const done: string[] = [];
      let call = 0;
      const trouble = (): Trouble => (++call === at ? 'dies after' : 'none');
      const handler = paying(done, (job) => job.files.write('invoice.txt', 'please pay'));
      const ran = await start(handler, {}, { trouble });
      await ran.rest();
      const files = [...ran.world.stores.blobs.keys()].filter((name) => name.endsWith('.txt'));
      if (files.length > 0 && done.includes('card')) both.push(`died after call ${at}`);
    }
    assert.deepEqual(both, []);
  });
});

test('a wait ends only when nothing else is under way: it does not win against a loop that runs', async () => {
  let rounds = 0;
  const ran = await run(async (job) => {
    const loop = job.checkpoint('loop', 0, async (from, save) => {
      for (let n = from; n < 3; n++) {
        // Reads a page.
        await hops(20);
        rounds++;
        await save(n + 1);
      }
      return 'loop';
    });
    return Promise.race([loop, job.sleep('1h').then(() => 'sleep')]);
  });
  assert.deepEqual([ran.result(), rounds], ['loop', 3]);
});

describe('a checkpoint loop', () => {
  test('whose value was kept is not run again, also when a timer of its own saves once more', async () => {
    let loops = 0;
    await run(async (job) => {
      let late: (n: number) => Promise<void> = async () => undefined;
      await job.checkpoint('loop', 0, async (_, save) => {
        loops++;
        late = save;
        return 1;
      });
      await late(5).catch(() => undefined);
      await job.sleep('1m');
      return 1;
    });
    assert.equal(loops, 1);
  });

  test('goes on from where `save` resolved', async () => {
    const acks: number[] = [];
    const from: number[] = [];
    const hands = { dies: false };
    const ran = await start(
      (job) =>
        job.checkpoint('loop', { n: 0, text: '' }, async (at, save) => {
          from.push(at.n);
          if (from.length > 1) return at.n;
          const ack = (n: number, chars: number) =>
            save({ n, text: 'x'.repeat(chars) }).then(() => acks.push(n));
          await Promise.all([ack(1, 40_000), ack(2, 0)]);
          return 9;
        }),
      {},
      { trouble: () => (hands.dies ? 'dies before' : 'none') },
    );
    diesDuringItsFirstWrite(ran, hands, 10);
    // What the dead worker's own code goes on with is not looked at.
    const before = new Promise<number[]>((resolve) => {
      const { app } = ran.world;
      let workers = 0;
      ran.world.app = (by) => {
        if (++workers === 2) resolve([...acks]);
        return app.call(ran.world, by);
      };
    });
    await ran.rest();
    const acked = Math.max(0, ...(await before));
    assert.ok((from.at(-1) ?? 0) >= acked, `saved ${acked}, and goes on from ${from.at(-1)}`);
  });
});

test('a new step in the place of a kept one is an error, also behind one that was renamed', async () => {
  let version = 1;
  const ran = await run(async (job) => {
    if (version === 1) {
      await job.step('a', async () => 1);
      await job.step('b', async () => 1);
    } else {
      await job.step('a2', async () => 1, { formerly: ['a'] });
      await job.step('c', async () => 1);
    }
    version = 2;
    await job.sleep('1h');
    return 1;
  });
  assert.equal(ran.record().error?.code, 'step_changed', ran.record().state);
});

test('a step that fails is told though loops beside it save: else it hangs as long as they do', async () => {
  let saves = 0;
  let told = -1;
  await run(async (job) => {
    const loop = (name: string) =>
      job.checkpoint(name, 0, async (from, save) => {
        for (let n = from; n < 200 && told < 0; n++) {
          // As storage lets others go on.
          await hop();
          await save(n + 1);
          saves++;
        }
        return 1;
      });
    const failing = job
      .step('fails', async () => {
        await hops(3);
        throw new Error('at once');
      })
      .catch(() => {
        told = saves;
      });
    return Promise.all([loop('one'), loop('two'), loop('three'), failing]);
  });
  assert.ok(told < 100, `told after ${told} saves, when all loops had ended`);
});

test('a step gives what every later run will read: with `output` too', async () => {
  const seen: string[] = [];
  await run(async (job) => {
    const value = await job.step('user', async () => ({ name: 'Ada', extra: 1 }), {
      output: z.object({ name: z.string(), role: z.string().default('guest') }),
    });
    seen.push(JSON.stringify(value));
    await job.sleep('1m');
    return 1;
  });
  assert.equal(seen[0], seen[1]);
});

test('a call that is awaited after a wait is awaited', async () => {
  const ran = await run(async (job) => {
    const rates = job.step('rates', async () => 7);
    await job.sleep('1h');
    return await rates;
  });
  assert.equal(ran.record().state, 'succeeded', ran.record().error?.message);
});

test('a value that JSON would lose fails: URLSearchParams become {}', async () => {
  const ran = await run((job) =>
    job.step('q', async () => ({ q: new URLSearchParams('a=1') }) as never),
  );
  assert.equal(ran.record().error?.code, 'not_json', JSON.stringify(ran.record().result));
});
