/** Jobs beside the one that is tested: children, neighbours of a key, runs of a schedule. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineJob } from 'longhaul';
import { surviveCrashes, testApp, testJob } from 'longhaul/testing';
import { z } from 'zod';

const square = defineJob({
  type: 'square',
  input: z.object({ of: z.number() }),
  backoff: { initial: '1m', jitter: false },
  async run({ of }, job) {
    if (of < 0) throw new Error(`${of} is negative`);
    if (of === 0 && job.attempt === 1) throw new Error('not at once');
    if (of > 99) await job.sleep('1d');
    return of * of;
  },
});

const sum = defineJob({
  type: 'sum',
  input: z.object({ of: z.array(z.number()) }),
  attempts: 1,
  async run({ of }, job) {
    const squares = await job.children(
      'squares',
      of.map((n) => square.with({ of: n })),
    );
    return squares.reduce((a, b) => a + b, 0);
  },
});

describe('children', () => {
  test('run for real', async () => {
    const run = testJob(sum, { of: [1, 2, 3] }, { types: [square] });
    assert.equal(await run.result, 14);
  });

  test('run for real, and their pauses are passed over, not their sleeps', async () => {
    const run = testJob(sum, { of: [0, 2] }, { types: [square] });
    assert.equal(await run.result, 4);
    const long = testJob(sum, { of: [0, 100] }, { types: [square] });
    await assert.rejects(long.result, /square \([^)]+\) sleeps until/);
    await long.skip('1d');
    assert.equal(await long.result, 10_000);
  });

  test('are answered by the test', async () => {
    const asked: number[] = [];
    const children = {
      square: ({ of }: { of: number }) => {
        asked.push(of);
        return of * 10;
      },
    };
    const run = testJob(sum, { of: [1, 2] }, { children });
    assert.equal(await run.result, 30);
    assert.deepEqual(asked.sort(), [1, 2]);
  });

  test('are answered with an error', async () => {
    const run = testJob(sum, { of: [1, 2] }, { children: { square: new Error('no squares') } });
    await assert.rejects(run.result, (error: Error) => {
      const cause = error.cause as Error;
      assert.equal(cause.name, 'ChildFailedError');
      assert.match(String((cause.cause as Error).message), /no squares/);
      return true;
    });
  });

  test('are told what they wait for', async () => {
    const inner = defineJob({
      type: 'inner',
      input: z.object({}),
      events: { go: z.object({ n: z.number() }) },
      run: async (_, job) => (await job.event('go')).n,
    });
    const outer = defineJob({
      type: 'outer',
      input: z.object({}),
      run: async (_, job) => (await job.children('all', [inner.with({})]))[0],
    });
    const run = testJob(outer, {}, { types: [inner] });
    await assert.rejects(
      run.result,
      /is waiting: inner \([^)]+\) waits for event 'go'. Call run.children\('inner'\)\[…\].event\('go', …\)/,
    );
    const [child] = run.children('inner');
    await child?.event('go', { n: 7 });
    assert.equal(await run.result, 7);
    assert.equal(await child?.result, 7);
  });

  test('that nobody serves are told', async () => {
    await assert.rejects(testJob(sum, { of: [1] }).result, /no job type 'square'|square/);
  });

  test('come through a death at any call', async () => {
    const deaths = await surviveCrashes((options) =>
      Promise.resolve(testJob(sum, { of: [1, 2] }, { ...options, types: [square] }).result),
    );
    assert.ok(deaths > 10);
  });
});

const account = defineJob({
  type: 'account',
  input: z.object({ add: z.number(), waits: z.boolean().default(false) }),
  key: () => 'account 1',
  async run({ add, waits }, job) {
    const total = ((await job.session.get<number>()) ?? 0) + add;
    if (waits) await job.step('wait', () => new Promise<null>((go) => setTimeout(go, 20, null)));
    await job.session.set(total);
    return total;
  },
});

describe('the jobs of a key', () => {
  test('run one after the other and leave each other the state of the key', async () => {
    const app = testApp([account]);
    const first = app.start(account, { add: 1, waits: true });
    const second = app.start(account, { add: 2 });
    assert.equal(await second.result, 3);
    assert.equal(await first.result, 1);
    assert.equal(app.jobs('account').length, 2);
  });

  test('count each once, whatever dies', async () => {
    await surviveCrashes(async (options) => {
      const app = testApp([account], options);
      const runs = [1, 2, 3].map((add) => app.start(account, { add }));
      for (const run of runs) await run.until('succeeded');
      return Math.max(...(await Promise.all(runs.map((run) => run.result))));
    });
  });
});

test('equal jobs are one', async () => {
  let ran = 0;
  const once = defineJob({
    type: 'once',
    input: z.object({ n: z.number() }),
    unique: { until: 'finished' },
    async run() {
      ran++;
      return ran;
    },
  });
  const app = testApp([once]);
  const [a, b] = [app.start(once, { n: 1 }), app.start(once, { n: 1 })];
  assert.deepEqual([await a.result, await b.result, ran], [1, 1, 1]);
  assert.equal(a.id, b.id);
});

describe('a schedule', () => {
  const nightly = defineJob({
    type: 'nightly',
    input: z.object({ of: z.string() }),
    schedules: [{ id: 'nightly', cron: '0 3 * * *', input: { of: 'orders' } }],
    async run({ of }, job) {
      return { of, at: job.scheduledFor?.toISOString() ?? 'by hand' };
    },
  });

  test('starts its jobs at their times as the clock is moved', async () => {
    const app = testApp([nightly], { now: '2026-01-01T00:00:00Z' });
    await app.skip('2h');
    assert.equal(app.jobs('nightly').length, 0);
    await app.skip('2d');
    const runs = app.jobs('nightly');
    assert.deepEqual(await Promise.all(runs.map((run) => run.result)), [
      { of: 'orders', at: '2026-01-01T03:00:00.000Z' },
      { of: 'orders', at: '2026-01-02T03:00:00.000Z' },
    ]);
    assert.deepEqual(
      runs.map(({ status }) => status.startedAt),
      ['2026-01-01T03:00:00.000Z', '2026-01-02T03:00:00.000Z'],
    );
    assert.equal(app.now.toISOString(), '2026-01-03T02:00:00.000Z');
  });

  test('counts an interval from the end of a run', async () => {
    const every = defineJob({
      type: 'every',
      input: z.object({}),
      schedules: [{ id: 'every', every: '1h', input: {} }],
      async run(_, job) {
        await job.sleep('30m');
        return job.scheduledFor?.toISOString() ?? '';
      },
    });
    const app = testApp([every], { now: '2026-01-01T00:00:00Z' });
    await app.skip('5h');
    const ended = app.jobs('every').filter(({ state }) => state === 'succeeded');
    const due = (await Promise.all(ended.map((run) => run.result))).map((at) =>
      String(at).slice(11, 16),
    );
    assert.deepEqual(due, ['01:00', '02:30', '04:00']);
  });

  test('rests where one job is tested', async () => {
    const run = testJob(nightly, { of: 'x' });
    await run.skip('3d');
    assert.deepEqual(await run.result, { of: 'x', at: 'by hand' });
  });
});
