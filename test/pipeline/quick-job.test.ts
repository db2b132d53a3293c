/** What a job costs: all that is kept of it goes with writes that there are anyhow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { submit } from '#longhaul/admit/submit.js';
import { type Handler, typeOf } from './world/one-job.ts';
import { World } from './world/world.ts';

/** The calls to storage and bus that a job's workers make. */
async function callsOf(handler: Handler): Promise<number> {
  let calls = 0;
  const type = typeOf(handler);
  const world = new World([type], () => {
    calls++;
    return 'none';
  });
  await submit(world.app(), type.with({ n: 1 }));
  await world.run(() => 0);
  return calls;
}

test('a job makes as many calls as it did before its input and times were kept', async () => {
  const calls = {
    quick: await callsOf(async () => 1),
    steps: await callsOf(async (job) => {
      await job.step('a', async () => 1);
      await job.step('b', async () => 2);
    }),
    waits: await callsOf(async (job) => {
      await job.sleep('1m');
      await job.event('a', { timeout: '1h' }).catch(() => undefined);
    }),
    fails: await callsOf(async (job) => {
      if (job.attempt < 3) throw new Error('Not yet');
    }),
    stepFails: await callsOf(async (job) => {
      await job.step('a', async () => 1);
      await job.step('b', async () => {
        if (job.attempt < 3) throw new Error('Not yet');
      });
    }),
  };
  // As counted at 4df1d52.
  assert.deepEqual(calls, { quick: 5, steps: 7, waits: 22, fails: 15, stepFails: 19 });
});
