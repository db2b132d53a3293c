/** What a handler does stays with its job, and is told to the one who wrote it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as hop } from 'node:timers/promises';
import { onStrayRejection } from '#longhaul/handler/on-behalf.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { run, start } from './world/one-job.ts';

const hops = async (count: number) => {
  for (let n = 0; n < count; n++) await hop();
};

describe('not awaited', () => {
  test('a step fails the job at once, with where it stands', async () => {
    const { record } = await run(async (job) => {
      void job.step('forgotten', async () => 1);
      return 'done';
    });
    const { state, error, attempt } = record();
    assert.deepEqual([state, error?.code, attempt], ['failed', 'not_awaited', 1]);
    assert.match(error?.message ?? '', /^Step 'forgotten' was not awaited/);
    assert.match(error?.stack ?? '', /containment\.test/);
  });

  test('a sleep, a file or a group of children fails it too', async () => {
    for (const [forget, what] of [
      [(job) => job.sleep('1h'), /^Sleep/],
      [(job) => job.files.write('a.txt', 'a'), /^Writing file 'a.txt'/],
      [(job) => job.children('none', []), /^Children 'none'/],
    ] as [Parameters<typeof run>[0], RegExp][]) {
      const { record } = await run(async (job) => {
        void forget(job);
        return 1;
      });
      assert.match(record().error?.message ?? '', what);
    }
  });

  test('a step that failed is told with why', async () => {
    const { record } = await run(async (job) => {
      void job.step('forgotten', async () => {
        throw new TypeError('x is not a function');
      });
      await hops(5);
      return 'done';
    });
    assert.equal(record().error?.cause?.message, 'x is not a function');
  });

  test('progress is no reproach, and the last report is written', async () => {
    const { record } = await run(async (job) => {
      void job.progress({ done: 1, of: 2 });
      void job.progress({ done: 2, of: 2 });
      return 'done';
    });
    assert.equal(record().state, 'succeeded');
    assert.deepEqual(record().progress, { done: 2, of: 2 });
  });

  test('progress beside a cancel is not rejected unhandled', async () => {
    const strays: unknown[] = [];
    const note = (reason: unknown) => strays.push(reason);
    process.on('unhandledRejection', note);
    try {
      const ran = await start(async (job) => {
        while (!job.signal.aborted) await hop();
        void job.progress({ done: 1 });
        await hops(3);
        return 'done';
      });
      ran.world.actions.push(() => cancel(ran.world.app(), ran.id));
      const running = ran.rest();
      await hops(5);
      await cancel(ran.world.app(), ran.id).catch(() => undefined);
      await running;
      await hops(5);
      assert.equal(ran.record().state, 'cancelled');
    } finally {
      process.off('unhandledRejection', note);
    }
    assert.deepEqual(strays, []);
  });
});

test('a rejection that nobody handles fails its attempt, with its stack, and not the process', async () => {
  const stray = (reason: unknown) => onStrayRejection(() => undefined, reason);
  // The runner has its own listener, which takes every stray for a failed test.
  const before = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', stray);
  try {
    const { record } = await run(
      async (job) => {
        void (async () => {
          throw new RangeError('left behind');
        })();
        while (!job.signal.aborted) await hop();
        return 'done';
      },
      { attempts: 1 },
    );
    const { state, error } = record();
    assert.deepEqual([state, error?.code], ['failed', 'unhandled_rejection']);
    assert.equal(error?.cause?.message, 'left behind');
    assert.match(error?.stack ?? '', /containment\.test/);
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of before) process.on('unhandledRejection', listener);
  }
});

test('a rejection that is no handler’s is thrown on: it is a fault here', () => {
  assert.throws(() => onStrayRejection(() => undefined, new Error('ours')), /ours/);
});

describe('a value that is no JSON', () => {
  test('fails with its path, in a step and in the result', async () => {
    const date = { rows: [{ at: new Date() }] };
    for (const [value, why] of [
      [date, /\/rows\/0\/at is a Date/],
      [{ total: Number.NaN }, /\/total is NaN/],
      [new Map([[1, 2]]), /it is a Map/],
      [{ n: 1n }, /\/n is a bigint/],
      [Buffer.from('x'), /it is a Buffer/],
    ] as [unknown, RegExp][]) {
      const inStep = await run((job) => job.step('step', async () => value as null));
      assert.match(inStep.record().error?.message ?? '', why);
      assert.match(inStep.record().error?.message ?? '', /^The value of 'step' is not JSON/);
      const asResult = await run(async () => value);
      assert.equal(asResult.record().error?.code, 'not_json');
      assert.match(asResult.record().error?.message ?? '', /^The result is not JSON/);
    }
  });

  test('that turns in a circle is told as such', async () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const { record } = await run(async () => circle);
    assert.match(record().error?.message ?? '', /circular/);
  });
});

test('a thrown object is told as what it is', async () => {
  const { record } = await run(async () => {
    throw { status: 404, body: 'not here' };
  });
  assert.match(record().error?.message ?? '', /status: 404.*throw an Error instead/s);
});

test('the log has the stack of what a handler threw', async () => {
  const lines: unknown[] = [];
  const ran = await start(
    async () => {
      throw new TypeError('x is not a function');
    },
    { attempts: 1 },
  );
  const { app } = ran.world;
  ran.world.app = (hands) => ({
    ...app.call(ran.world, hands),
    log: (_level, _message, fields) => void lines.push(fields?.error),
  });
  await ran.rest();
  assert.ok(
    lines.some((error) => error instanceof TypeError && /containment/.test(error.stack ?? '')),
  );
});

test('a progress note of any length is cut, not refused by storage', async () => {
  const { record } = await run(async (job) => {
    await job.progress({ done: 1, note: 'n'.repeat(100_000) });
    return 1;
  });
  assert.equal(record().state, 'succeeded');
  assert.equal(record().progress?.note?.length, 1_000);
});

describe('storage that fails', () => {
  const failing = (at: number, times: number) => {
    let call = 0;
    return () => {
      call++;
      return call > at && call <= at + times ? ('fails before' as const) : ('none' as const);
    };
  };

  test('for a moment after the handler returned costs no second run', async () => {
    for (let at = 1; at < 6; at++) {
      let runs = 0;
      const ran = await start(
        async () => {
          runs++;
          return 1;
        },
        {},
        { trouble: failing(at, 1) },
      );
      await ran.rest();
      assert.equal(ran.record().state, 'succeeded');
      assert.ok(runs === 1, `${runs} runs when call ${at + 1} failed`);
    }
  });

  test('without a status is no fault of the input, and no attempt is lost by it', async () => {
    for (let at = 0; at < 8; at++) {
      const ran = await start(
        async (job) => job.step('step', async () => 'v'.repeat(20_000)),
        {},
        {
          trouble: failing(at, 9),
        },
      );
      await ran.rest();
      assert.deepEqual([ran.record().state, ran.record().attempt], ['succeeded', 1], `from ${at}`);
    }
  });
});
