/** What a second review broke: a case for each rule that mends it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as hop } from 'node:timers/promises';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { RetryAfterError } from '#longhaul/errors.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { run, start, typeOf } from './world/one-job.ts';
import { type Trouble, World } from './world/world.ts';

describe('what a handler was told is on record before it acts on it', () => {
  test('a caught failure, before children are sent', async () => {
    for (let at = 1; at < 16; at++) {
      const done: string[] = [];
      let cardFails = true;
      const kid = typeOf(async () => done.push('invoice'), {}, 'kid');
      const parent = typeOf(async (job) => {
        try {
          await job.step('card', async () => {
            if (cardFails) throw new Error('declined');
            return done.push('card');
          });
        } catch {
          await job.children('invoice', [kid.with({})]);
        } finally {
          cardFails = false;
        }
        return 1;
      });
      let call = 0;
      const trouble = (): Trouble => (++call === at ? 'dies after' : 'none');
      const world = new World([kid, parent], trouble);
      await submit(world.app(), parent.with({}));
      await world.run(() => 0);
      assert.equal(new Set(done).size, 1, `paid by ${done.join(' and ')}, died at call ${at}`);
    }
  });

  test('an event that came too late stays too late in the next attempt', async () => {
    const seen: string[] = [];
    const ran = await start(async (job) => {
      const way = await job.event('a', { timeout: '1h' }).then(
        () => 'came',
        (error: Error) => error.name,
      );
      seen.push(way);
      if (job.attempt === 1) throw new Error('nobody approved');
      return way;
    });
    const { bus } = ran.world;
    const send = bus.send.bind(bus);
    bus.send = (message) => {
      send(message);
      // Between the attempts.
      if (message.messageId.endsWith(':3')) void tellEvent(ran.world.app(), ran.id, 'a', { n: 7 });
    };
    await ran.rest();
    assert.equal(ran.result(), 'EventTimeoutError', seen.join());
  });
});

test('late word of a child of before does not end the group that was sent anew', async () => {
  const child = typeOf(
    async (job) => {
      if (job.requester.requestedBy === 'bad') throw new Error('bad');
      await job.sleep('1h');
      return 1;
    },
    { attempts: 1 },
    'child',
  );
  let broken = true;
  const parent = typeOf((job) =>
    job.children('m', [child.with({}, { requestedBy: broken ? 'bad' : 'good' }), child.with({})]),
  );
  const world = new World([child, parent]);
  const { record } = await submit(world.app(), parent.with({}));
  const { bus } = world;
  const send = bus.send.bind(bus);
  bus.send = (message) => {
    send(message);
    // As soon as it has failed, before its other child hears of it.
    if (world.record(record.id)?.state === 'failed' && broken) {
      broken = false;
      void retry(world.app(), record.id);
    }
  };
  await world.run(() => 0);
  assert.equal(
    world.record(record.id)?.state,
    'succeeded',
    world.record(record.id)?.error?.message,
  );
});

test('an ordered job waits for hours, and costs few of its deliveries', async () => {
  const ran = await start(
    async (job) => {
      if (job.attempt === 1) throw new RetryAfterError('busy', '3h');
      return job.attempt;
    },
    { key: () => 'k', ordered: true },
  );
  const { now } = ran.world;
  await ran.rest();
  assert.equal(ran.result(), 2);
  assert.ok(ran.world.now - now >= 3 * 3_600_000);
});

describe('a value', () => {
  test('that is undefined stays undefined after a wait', async () => {
    const { result } = await run(async (job) => {
      const user = await job.step('find', async () => undefined as string | undefined);
      await job.sleep('1m');
      return user === undefined ? 'nobody' : 'somebody';
    });
    assert.equal(result(), 'nobody');
  });

  test('is in the first run what it is in every other', async () => {
    const seen: string[] = [];
    await run(async (job) => {
      const list: unknown = await job.step(
        'list',
        async () => [1, undefined, { toJSON: () => 'text' }] as never,
      );
      seen.push(JSON.stringify(list));
      await job.sleep('1m');
      return null;
    });
    assert.deepEqual(seen, ['[1,null,"text"]', '[1,null,"text"]']);
  });

  test('that the handler changes is given to its undo as it was kept', async () => {
    let undone: unknown;
    await run(async (job) => {
      const undo = async (seats: string[]) => {
        undone = seats;
      };
      const seats = await job.step('reserve', async () => ['1A', '1B'], { undo });
      seats.length = 0;
      throw new Error('for good');
    });
    assert.deepEqual(undone, ['1A', '1B']);
  });

  test('that is no JSON fails its step once, and is met again after a wait', async () => {
    let runs = 0;
    await run(async (job) => {
      await job
        .step('pay', async () => {
          runs++;
          return { at: new Date() } as never;
        })
        .catch(() => undefined);
      await job.sleep('1m');
      await job.sleep('again', '1m');
      return null;
    });
    assert.equal(runs, 1);
  });

  test('saved later is not overtaken by one that was saved before it', async () => {
    const from: number[] = [];
    const ran = await run(async (job) =>
      job.checkpoint('loop', { n: 0, text: '' }, async (at, save) => {
        from.push(at.n);
        if (job.attempt > 1) return at.n;
        await Promise.all([save({ n: 1, text: 'x'.repeat(40_000) }), save({ n: 2, text: '' })]);
        throw new Error('once');
      }),
    );
    assert.equal(ran.result(), 2, from.join());
  });
});

describe('a step or a wait is refused', () => {
  test('inside a loop that saves', async () => {
    const { record } = await run((job) =>
      job.checkpoint('loop', 0, async () => job.step('page', async () => 1)),
    );
    assert.match(record().error?.message ?? '', /Step 'page' stands inside .*loop/);
  });

  test('inside an undo, which is then given up', async () => {
    const { record } = await run(async (job) => {
      const undo = async () => void (await job.step('refund', async () => 1));
      await job.step('book', async () => 1, { undo });
      throw new Error('for good');
    });
    assert.match(
      record().undone?.[0]?.error?.message ?? '',
      /stands inside step 'the undo of book'/,
    );
  });

  test('but not where a queue of the author’s goes on after the step', async () => {
    const queue: (() => void)[] = [];
    const { result } = await run(async (job) => {
      await job.step('first', async () => {
        void (async () => {
          while (queue.length === 0) await hop();
          queue.shift()?.();
        })();
        return 1;
      });
      return new Promise((resolve, reject) => {
        queue.push(() => job.step('second', async () => 2).then(resolve, reject));
      });
    });
    assert.equal(result(), 2);
  });
});

test('each undo has its own tries', async () => {
  const tries = new Map<string, number>();
  const { record } = await run(
    async (job) => {
      for (const name of ['a', 'b', 'c']) {
        const undo = async () => {
          const before = tries.get(name) ?? 0;
          tries.set(name, before + 1);
          if (before === 0) throw new Error('once');
        };
        await job.step(name, async () => 1, { undo });
      }
      throw new Error('for good');
    },
    { attempts: 2 },
  );
  assert.deepEqual(
    record().undone?.map(({ step, error }) => [step, error]),
    [
      ['c', undefined],
      ['b', undefined],
      ['a', undefined],
    ],
  );
});

test('a cancel outranks what the handler makes of it', async () => {
  const undone: string[] = [];
  const ran = await start(async (job) => {
    await job.step('pay', async () => 1, { undo: async () => void undone.push('pay') });
    return job
      .step('mail', async () => {
        while (!job.signal.aborted) await hop();
        throw job.signal.reason;
      })
      .catch(() => 'no mail');
  });
  const resting = ran.rest();
  while (ran.record().state !== 'running') await hop();
  await cancel(ran.world.app(), ran.id);
  await resting;
  assert.deepEqual([ran.record().state, undone], ['cancelled', ['pay']]);
});

test('a call that nobody awaits is told when the handler waits, not a month later', async () => {
  const ran = await start(async (job) => {
    void job.step('forgotten', async () => {
      throw new Error('unseen');
    });
    await job.sleep('30d');
    return null;
  });
  await ran.rest();
  assert.match(ran.world.logged[0] ?? '', /waits; if nobody awaits it later.*'forgotten' was not/);
  assert.equal(ran.record().error?.code, 'not_awaited');
});

test('whatever is thrown, the job fails by it and not by its deliveries', async () => {
  const odd = [
    Object.assign(new Error('m'), { name: Symbol('n') }),
    Object.assign(new Error('m'), { stack: { not: 'text' } }),
    Object.defineProperty(new Error('m'), 'details', {
      get: () => {
        throw new Error('a getter');
      },
    }),
    Object.assign(new Error('m'), { details: { errors: [{ n: 1n }] } }),
    Object.assign(new Error('m'), { details: { errors: 'x'.repeat(2_000_000) } }),
    undefined,
    Object.freeze({ a: 1 }),
  ];
  for (const thrown of odd) {
    const { record } = await run(
      async () => {
        throw thrown;
      },
      { attempts: 1 },
    );
    assert.equal(record().state, 'failed');
    assert.notEqual(record().error?.code, 'delivery_limit_exceeded');
    assert.ok(JSON.stringify(record()).length < 40_000);
  }
});

test('progress of any shape is kept as numbers and text', async () => {
  const { record } = await run(async (job) => {
    await job.progress({ done: 3n, of: 4, note: 5, more: 'x'.repeat(99_999) } as never);
    return 1;
  });
  assert.deepEqual(record().progress, { done: 3, of: 4, note: '5' });
});

test('a stranger’s own `createdAt` does not make its message one of ours', async () => {
  const type = typeOf(async () => 1, { key: () => 'k', startBefore: '1h' });
  const world = new World([type]);
  world.bus.send({
    ...{ queue: 'standard', messageId: 'x', contentType: 'application/json' },
    body: Buffer.from('{}'),
    properties: { type: 'test', createdAt: 'yesterday', startBefore: 'soon' },
  });
  await world.run(() => 0);
  const { key, startBefore, createdAt } = world.record('x') ?? {};
  assert.equal(key, 'k');
  for (const time of [startBefore, createdAt]) assert.ok(Date.parse(time ?? ''), time);
});

test('a claim of a job that was removed gives way', async () => {
  const type = typeOf(async () => 1, { keep: '5m', unique: { until: 'finished' } });
  const world = new World([type]);
  const first = await submit(world.app(), type.with({}));
  const [claim] = [...world.stores.notes].filter(([name]) => name.startsWith('unique\n'));
  assert.ok(claim);
  await world.run(() => 0);
  world.now += 3_600_000;
  await world.removeExpired(true);
  // As if its worker had died before the claim went with it.
  world.stores.notes.set(...claim);
  const second = await submit(world.app(), type.with({}));
  assert.equal(second.deduplicated, false);
  assert.notEqual(second.record.id, first.record.id);
});

test('a kept step that the undo cannot get back to stands in `undone` with an error', async () => {
  const undone: string[] = [];
  const undo = async (name: string) => void undone.push(name);
  const { record } = await run(
    async (job) => {
      try {
        await job.step(
          'card',
          async () => {
            if (job.attempt === 1) throw new Error('declined');
            return 'card';
          },
          { undo },
        );
      } catch {
        await job.step('invoice', async () => 'invoice', { undo });
      }
      throw new Error('for good');
    },
    { attempts: 2 },
  );
  assert.deepEqual(undone, ['card']);
  assert.deepEqual(
    record().undone?.map(({ step, error }) => [step, error?.code]),
    [
      ['card', undefined],
      ['invoice', 'step_changed'],
    ],
  );
});

test('undoing does not wait for the code after the last kept step', async () => {
  let undoneAt = 0;
  const ran = await start(
    async (job) => {
      await job.step('pay', async () => 1, {
        undo: async () => {
          undoneAt = ran.world.now;
        },
      });
      await new Promise((resolve) => ran.world.app().clock.after(4 * 60_000, () => resolve(null)));
      throw new Error('for good');
    },
    { attempts: 1 },
  );
  const { now } = ran.world;
  await ran.rest();
  assert.ok(undoneAt - now < 5 * 60_000, `undone after ${(undoneAt - now) / 60_000} minutes`);
});
