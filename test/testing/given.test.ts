/** What a test gives in place of what is outside: steps, the inbox; and deaths on demand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineJob, NonRetryableError } from 'longhaul';
import { surviveCrashes, testApp, testJob } from 'longhaul/testing';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import { MemoryApp } from '#longhaul/testing/memory-app.js';
import { Deaths } from '#longhaul/testing/test-process.js';

const mails = defineJob({
  type: 'mails',
  input: z.object({ blob: z.string() }),
  attempts: 3,
  backoff: { initial: '1s', jitter: false },
  async run({ blob }, job) {
    const names = (await job.files.readInbox(blob)).toString().split('\n');
    const sent = await job.checkpoint('send', 0, async (from, save) => {
      for (let at = from; at < names.length; at++) await save(at + 1);
      return names.length;
    });
    const told = await job.step('tell', async (): Promise<string> => {
      throw new Error('There is no telephone here.');
    });
    return { sent, told };
  },
});
const inbox = { 'names.txt': 'ada\nbob' };

describe('a step that is given', () => {
  test('has that value', async () => {
    const steps = { tell: 'told' };
    const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps });
    assert.deepEqual(await run.result, { sent: 2, told: 'told' });
  });

  test('throws that error, at each attempt', async () => {
    const steps = { tell: new Error('nobody is there') };
    const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps });
    await assert.rejects(run.result, /nobody is there/);
    assert.equal(run.attempt, 3);
  });

  test('does what a function does, which may run the step', async () => {
    const steps = {
      send: 7,
      tell: async ({ attempt, run }: { attempt: number; run(): Promise<unknown> }) => {
        if (attempt === 1) await run();
        return `told at ${attempt}`;
      },
    };
    const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps });
    assert.deepEqual(await run.result, { sent: 7, told: 'told at 2' });
    assert.match(run.logs[0] ?? '', /There is no telephone here/);
  });

  test('fails the job for good by an error that is final', async () => {
    const steps = { tell: new NonRetryableError('gone', { code: 'gone' }) };
    const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps });
    await assert.rejects(run.result, (error: Error) => {
      assert.deepEqual(
        { ...(error.cause as object) },
        { ...(error.cause as object), code: 'gone' },
      );
      return true;
    });
    assert.equal(run.attempt, 1);
  });

  test('is given by type in an app', async () => {
    const app = testApp([mails], { inbox, steps: { mails: { tell: 'all' } } });
    assert.deepEqual(await app.start(mails, { blob: 'names.txt' }).result, {
      sent: 2,
      told: 'all',
    });
  });
});

test('a file that is not in the inbox fails the job as in production', async () => {
  await assert.rejects(
    testJob(mails, { blob: 'x' }, { inbox }).result,
    /no blob 'x' in the container/,
  );
});

describe('a death', () => {
  const twoSteps = (done: string[], meanwhile: (name: string) => void = () => undefined) =>
    defineJob({
      type: 'two-steps',
      input: z.object({}),
      async run(_, job) {
        for (const name of ['one', 'two'])
          await job.step(name, async () => {
            meanwhile(name);
            done.push(name);
            return name;
          });
        await job.sleep('1h');
        return done.length;
      },
    });

  test('in a step comes before it is kept: it is done again', async () => {
    const done: string[] = [];
    let deaths = 0;
    const type = twoSteps(done, (name) => {
      if (name === 'two' && deaths++ === 0) run.crash();
    });
    const run = testJob(type, {});
    await run.until('waiting');
    assert.deepEqual(done, ['one', 'two', 'two']);
    assert.equal(run.attempt, 1, 'a death is no attempt that failed');
  });

  test('between two calls takes nothing away', async () => {
    const done: string[] = [];
    const run = testJob(twoSteps(done), {});
    await run.until('waiting');
    run.crash();
    await run.skip('1h');
    assert.equal(await run.result, 2);
  });

  test('ends a handler that hangs', async () => {
    let first = true;
    const type = defineJob({
      type: 'hangs',
      input: z.object({}),
      async run(_, job) {
        if (!first) return job.id;
        first = false;
        return new Promise<never>(() => undefined);
      },
    });
    const run = testJob(type, {});
    await run.until('running');
    run.crash();
    assert.equal(await run.result, run.id);
  });

  test('that comes again and again fails the job', async () => {
    const type = defineJob({
      type: 'deadly',
      input: z.object({}),
      async run(_, job) {
        run.crash();
        await job.step('never', async () => null);
        return null;
      },
    });
    const run = testJob(type, {});
    await assert.rejects(run.result, (error: Error) => {
      assert.equal((error.cause as { code?: string }).code, 'crashed');
      return true;
    });
  });

  test('at any call is found where the handler does not come through', async () => {
    let made = 0;
    const type = (id: number) =>
      defineJob({
        type: 'careless',
        input: z.object({}),
        async run(_, job) {
          // Outside a step: another after a death.
          made++;
          await job.step('a', async () => null);
          return { id, made };
        },
      });
    await assert.rejects(
      surviveCrashes((options) => {
        made = 0;
        return testJob(type(1), {}, options).result;
      }),
      /With the worker dead before its call \d+ \(\w+\) it comes to/,
    );
  });
});

test('jobs that go round in circles are told', async () => {
  const child = defineJob({ type: 'child', input: z.object({}), run: async () => null });
  const endless = defineJob({
    type: 'endless',
    input: z.object({}),
    async run(_, job): Promise<null> {
      for (let n = 0; ; n++) await job.children(`${n}`, [child.with({})]);
    },
  });
  const lane = { name: 'standard', plain: 'plain', keyed: 'keyed', maxTimeout: '10m' as const };
  const app = new MemoryApp(
    [child, endless],
    { lanes: [lane], completions: 'completions', replies: [], inbox: 'inbox', queues: [] },
    {
      now: new Date(),
      patienceMs: 10_000,
      mostHandOvers: 50,
      schedules: false,
      deaths: new Deaths(),
    },
  );
  await submit(app.api, endless.with({}));
  await assert.rejects(app.rest(), /does not come to rest: its jobs were handed over 50 times/);
});

test('a job that sleeps again and again ends no test: it waits', async () => {
  const endless = defineJob({
    type: 'endless',
    input: z.object({}),
    async run(_, job): Promise<null> {
      for (let n = 0; ; n++) await job.sleep(`${n}`, '1h');
    },
  });
  const run = testJob(endless, {});
  await run.skip('10h');
  await assert.rejects(run.result, /is waiting: it sleeps until/);
});

test('its types are those of the definition', async () => {
  const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps: { tell: 'x' } });
  (await run.result).sent satisfies number;
  // @ts-expect-error another input
  testJob(mails, { blob: 1 });
  // @ts-expect-error it has no events
  await assert.rejects(run.event('x', {}));
});

test('an app’s own topology is taken, with its lanes and limits', async () => {
  const topology = new URL('../../../topology.json', import.meta.url);
  const run = testJob(mails, { blob: 'names.txt' }, { inbox, steps: { tell: 'x' }, topology });
  await run.result;
  assert.equal(run.status.replyTo, 'replies');
  const slow = defineJob({
    type: 'slow',
    input: z.object({}),
    timeout: '1h',
    run: async () => null,
  });
  assert.throws(() => testJob(slow, {}, { topology }), /timeout: 1h is more than lane standard/);
});
