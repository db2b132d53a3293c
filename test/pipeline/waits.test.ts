/** Waits, case by case; `replay.test.ts` has what later runs make of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalogue } from '#longhaul/define/define-job.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { type AnyJob, type Handler, type Ran, run, start, typeOf } from './world/one-job.ts';
import { death, hops } from './world/tamper.ts';
import type { Trouble } from './world/world.ts';

/** Somebody acts as soon as the job waits. */
async function onceItWaits(
  handler: Handler,
  act: (ran: Ran) => Promise<unknown>,
  others: Catalogue = [],
): Promise<Ran> {
  let ran: Ran | undefined;
  let isDone = false;
  const trouble = (): Trouble => {
    if (isDone || ran?.record().state !== 'waiting') return 'none';
    isDone = true;
    return 'somebody acts';
  };
  ran = await start(handler, {}, { trouble }, others);
  const of = ran;
  of.world.actions.push(() => act(of));
  await of.rest();
  return of;
}

test('an event that comes before its timeout comes, one that comes after it does not', async () => {
  const handler: Handler = (job) =>
    job.event('a', { timeout: '1h' }).then(
      ({ n }) => `came ${n}`,
      () => 'late',
    );
  const tell = ({ world, id }: Ran) => tellEvent(world.app(), id, 'a', { n: 7 });
  assert.equal((await onceItWaits(handler, tell)).result(), 'came 7');
  const late = await onceItWaits(handler, async () => undefined);
  assert.equal(late.result(), 'late');
});

test('who won a race against a timer is on record before the handler acts on it', async () => {
  const did: string[] = [];
  const { comes, trouble } = death();
  const ran = await start(
    async (job) => {
      const won = await Promise.race([
        job.event('a').then(() => 'came'),
        job.sleep('1h').then(() => 'late'),
      ]);
      await job.step(`act ${won}`, async () => {
        did.push(won);
        // Its worker dies in the middle, and the event comes before the next run.
        if (did.length === 1) {
          await tellEvent(ran.world.app(), ran.id, 'a', { n: 1 });
          comes();
        }
      });
      return won;
    },
    {},
    { trouble },
  );
  await ran.rest();
  assert.deepEqual([did, ran.result()], [['late', 'late'], 'late']);
});

test('a wait that was not over holds up no other branch of the undo', async () => {
  const child = typeOf((job) => job.sleep('9h'), {}, 'child');
  for (const wait of ['sleep', 'event', 'children'] as const) {
    const undone: string[] = [];
    let runs = 0;
    const waits = (job: AnyJob) => {
      if (wait === 'sleep') return job.sleep('1h');
      return wait === 'event' ? job.event('a') : job.children('group', [child.with({})]);
    };
    const handler: Handler = (job) =>
      Promise.all([
        waits(job),
        (async () => {
          if (runs++ > 0) await hops(30);
          await job.step('book', async () => 1, { undo: async () => void undone.push('a') });
          await job.sleep('2h');
        })(),
      ]);
    const act = ({ world, id }: Ran) => cancel(world.app(), id);
    const ran = await onceItWaits(handler, act, [child]);
    assert.deepEqual(
      [ran.record().state, undone],
      ['cancelled', ['a']],
      `${wait} ${ran.record().error?.message}`,
    );
  }
});

test('an event that was late is late by the same time in every run', async () => {
  const told: string[] = [];
  const ran = await run(async (job) => {
    told.push(await job.event('a', { timeout: '1h' }).then(String, String));
    await job.sleep('1m');
    return told.length;
  });
  assert.equal(ran.result(), 2);
  assert.match(told[0] ?? '', /2026-11-21T13:00/);
  assert.equal(told[1], told[0]);
});

test('a group of nobody is over at once, in its turn', async () => {
  const ran = await run(async (job) => {
    const first = await job.children('none', []);
    const second = await job.childrenSettled('none either', [], { limit: 3 });
    await job.sleep('1m');
    return [first, second];
  });
  assert.deepEqual(ran.result(), [[], []]);
  assert.equal(ran.record().children, undefined);
});

test('the limit of a group is a whole number from 1 to 1000', async () => {
  const child = typeOf(async () => 1, {}, 'child');
  for (const limit of [0, -1, 1.5, 1001, Number.NaN, Number.POSITIVE_INFINITY]) {
    const { record } = await run((job) => job.children('g', [child.with({})], { limit }));
    assert.match(record().error?.message ?? '', /whole number from 1 to 1000/, `${limit}`);
  }
  for (const limit of [1, 1000]) {
    const ran = await start((job) => job.children('g', [child.with({})], { limit }), {}, {}, [
      child,
    ]);
    await ran.rest();
    assert.deepEqual(ran.result(), [1], `${limit}`);
  }
});

test('an ordered job is told that it cannot wait', async () => {
  const { record } = await run((job) => job.sleep('1m'), { key: () => 'k', ordered: true });
  assert.match(record().error?.message ?? '', /cannot stand in a job that is ordered/);
});
