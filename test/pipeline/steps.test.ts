/** What a second version of a handler finds in the checkpoint of the first: `job.attempt` is the version. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob, type Job } from '#longhaul/define/define-job.js';
import { World } from './world/world.ts';

/** Runs the first version, which fails after its steps, then the second. */
async function versions(
  first: (job: Job) => Promise<unknown>,
  second: (job: Job) => Promise<unknown>,
) {
  const type = defineJob({
    type: 'versions',
    input: z.object({}),
    attempts: 2,
    events: { told: z.object({}) },
    async run(_, job): Promise<{ value: string }> {
      const version = job.attempt === 1 ? first : second;
      const value = await version(job as unknown as Job);
      if (job.attempt === 1) throw new Error('deployed anew');
      return { value: JSON.stringify(value) };
    },
  });
  const world = new World([type], () => 'none');
  const { record } = await submit(world.app(), type.with({}));
  await world.run(() => 0);
  const ended = world.records.find(({ id }) => id === record.id);
  assert.ok(ended);
  return ended;
}

const ran: string[] = [];
const step =
  (name: string, value: string, options: Parameters<Job['step']>[2] = {}) =>
  (job: Job) =>
    job.step(
      name,
      async () => {
        ran.push(name);
        return value;
      },
      options,
    );

test('a step that changed its name is an error, and is not run', async () => {
  ran.length = 0;
  const { state, error } = await versions(step('read', 'a'), step('read rows', 'b'));
  assert.equal(state, 'failed');
  assert.equal(error?.code, 'step_changed');
  assert.match(error?.message ?? '', /Step 'read rows' stands where 'read' was kept.*formerly/);
  assert.deepEqual(ran, ['read']);
});

test('a step that names its former name has its value', async () => {
  ran.length = 0;
  const { result } = await versions(
    step('read', 'a'),
    step('read rows', 'b', { formerly: ['read'] }),
  );
  assert.deepEqual(result, { json: JSON.stringify({ value: '"a"' }) });
  assert.deepEqual(ran, ['read']);
});

test('a kept value of another shape is an error, not a wrong value', async () => {
  const output = z.object({ rows: z.number() });
  const { error } = await versions(step('read', 'a'), step('read', 'b', { output }));
  assert.equal(error?.code, 'step_changed');
  assert.match(error?.message ?? '', /What step 'read' kept does not fit its schema/);
});

test('a name that was a step and is a wait now is an error', async () => {
  const { error } = await versions(step('a', 'a'), (job) => job.sleep('a', '1s'));
  assert.match(error?.message ?? '', /'a' was kept as a step and is now a sleep/);
});

test('steps beside each other may come in any order, and a new one at the end is run', async () => {
  const slowly = async (job: Job, name: string, turns: number) => {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    return step(name, name)(job);
  };
  const both = (first: number, second: number) => async (job: Job) => {
    const values = await Promise.all([slowly(job, 'x', first), slowly(job, 'y', second)]);
    if (job.attempt === 2) values.push(await step('z', 'z')(job));
    return values;
  };
  const { state, result, error } = await versions(both(0, 3), both(3, 0));
  assert.equal(state, 'succeeded', error?.message);
  assert.deepEqual(result, { json: JSON.stringify({ value: '["x","y","z"]' }) });
});

test('a step that only a failure leads to is not missed when there is none', async () => {
  const flaky = async (job: Job) => {
    try {
      await job.step('risky', async () => {
        if (job.attempt === 1) throw new Error('once');
        return 'fine';
      });
    } catch {
      await step('repair', 'repaired')(job);
    }
    return step('last', 'last')(job);
  };
  const { state, error } = await versions(flaky, flaky);
  assert.equal(state, 'succeeded', error?.message);
});

test('a wait that the second version no longer has is no error', async () => {
  const { state, error } = await versions(
    async (job) => {
      await job.sleep('1h');
      await step('after', 'after')(job);
    },
    step('after', 'after'),
  );
  assert.equal(state, 'succeeded', error?.message);
});
