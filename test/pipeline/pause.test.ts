/** What is paused waits, whatever dies meanwhile, and goes on in its order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { hasEnded } from '#longhaul/model/job-record.js';
import { countParked, pause as pauseNow, resume, sendParked } from '#longhaul/operate/pause.js';
import { Pauses, type PauseTarget } from '#longhaul/record/pauses.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { fc } from '../support/properties.ts';
import { troubles } from './story.ts';
import { type Trouble, World } from './world/world.ts';

const target = { scope: 'type', name: 'paused' } as const;
const lane = { scope: 'lane', name: 'standard' } as const;

function worldOf(trouble: () => Trouble = () => 'none') {
  const ran: string[] = [];
  const type = (name: string, more: object = {}) =>
    defineJob({
      type: name,
      input: z.object({ n: z.number() }),
      run: async ({ n }) => void ran.push(`${name} ${n}`),
      ...more,
    });
  const types = {
    paused: type('paused'),
    inOrder: type('paused.line', { key: () => 'k' }),
    other: type('other'),
  };
  return { world: new World(Object.values(types), trouble), ran, ...types };
}

/** Once all workers know of it. */
async function pause(world: World, of: PauseTarget, more = {}): Promise<void> {
  await pauseNow(world.app(), of, more);
  world.now += 5_000;
}

const pausesOf = (world: World) => new Pauses(world.app().notes, world.app().clock).all();

/** As the timer does, by a process that may die of it, until nothing is resumed any more. */
async function untilResumed(world: World): Promise<void> {
  for (let looks = 0; looks < 50; looks++) {
    await world.attempt((app) => sendParked(app, 10_000));
    await world.run(() => 0);
    if ((await pausesOf(world)).every(({ resuming }) => !resuming)) return;
    world.now += 15_000;
  }
  throw new Error('The pause does not end.');
}

async function end(world: World, of: PauseTarget): Promise<void> {
  await resume(world.app(), of);
  await untilResumed(world);
}

const left = (world: World, of: PauseTarget = target) => countParked(world.app(), of);

test('a paused type waits while others run; resumed, all of it runs', async () => {
  const { world, ran, paused, other } = worldOf();
  const early = await submit(world.app(), paused.with({ n: 1 }));
  await pause(world, target, { by: 'me', why: 'the database moves' });
  const late = await submit(world.app(), paused.with({ n: 2 }));
  await submit(world.app(), other.with({ n: 3 }));
  await world.run(() => 0);
  assert.deepEqual(ran, ['other 3']);
  assert.equal(world.record(early.record.id)?.state, 'waiting');
  assert.equal(world.bus.all('standard').length, 0, 'nothing is left in the lane');
  world.now += 24 * 3_600_000;
  await world.run(() => 0);
  await end(world, target);
  assert.deepEqual(ran, ['other 3', 'paused 1', 'paused 2']);
  assert.equal(world.record(late.record.id)?.attempt, 1);
  assert.equal(world.bus.deadLettered, 0);
  assert.equal(await left(world), 0);
  assert.deepEqual(await pausesOf(world), []);
});

test('a paused lane waits as a whole, but for what resumes it', async () => {
  const { world, ran, paused, other, inOrder } = worldOf();
  await pause(world, lane, {});
  for (const one of [paused, other, inOrder]) await submit(world.app(), one.with({ n: 1 }));
  await world.run(() => 0);
  assert.deepEqual(ran, []);
  await end(world, lane);
  assert.deepEqual(ran.toSorted(), ['other 1', 'paused 1', 'paused.line 1']);
});

test('what is paused twice waits for both', async () => {
  const { world, ran, paused } = worldOf();
  await pause(world, target, {});
  await submit(world.app(), paused.with({ n: 1 }));
  await world.run(() => 0);
  await pause(world, lane, {});
  await end(world, target);
  assert.deepEqual(ran, []);
  await end(world, lane);
  assert.deepEqual(ran, ['paused 1']);
});

test('resumed by its lane and paused by its type, it waits on', async () => {
  const { world, ran, inOrder } = worldOf();
  const line = { scope: 'type', name: 'paused.line' } as const;
  await pause(world, lane);
  await submit(world.app(), inOrder.with({ n: 1 }));
  await world.run(() => 0);
  await pause(world, line);
  await resume(world.app(), lane);
  // It is on its way, so the pause of the lane is there still.
  await world.attempt((app) => sendParked(app, 10_000));
  await world.run(() => 0);
  assert.deepEqual(ran, []);
  await untilResumed(world);
  assert.deepEqual(ran, []);
  await end(world, line);
  assert.deepEqual(ran, ['paused.line 1']);
});

test('what waits for a pause can be cancelled', async () => {
  const { world, ran, paused } = worldOf();
  await pause(world, target, {});
  const { record } = await submit(world.app(), paused.with({ n: 1 }));
  await world.run(() => 0);
  await cancel(world.app(), record.id);
  await world.run(() => 0);
  assert.equal(world.record(record.id)?.state, 'cancelled');
  await end(world, target);
  assert.deepEqual(ran, []);
  assert.equal(await left(world), 0);
});

test('what is not there cannot be paused, and what is not paused not resumed', async () => {
  const app = worldOf().world.app();
  await assert.rejects(pauseNow(app, { scope: 'type', name: 'none' }, {}), /no job type 'none'/);
  await assert.rejects(pauseNow(app, { scope: 'lane', name: 'none' }, {}), /no lane 'none'/);
  await assert.rejects(resume(app, target), /is not paused/);
});

const acts = fc.array(fc.constantFrom('pause', 'resume', 'submit', 'letters', 'look'), {
  maxLength: 8,
});
const lived = fc.record({ troubles, acts, jobs: fc.integer({ min: 1, max: 4 }) });

test('whatever dies, and whenever it is paused and resumed: each runs, in the order of its key', () =>
  fc.assert(
    fc.asyncProperty(lived, async (told) => {
      let call = 0;
      const { world, ran, inOrder } = worldOf(() => told.troubles[call++] ?? 'none');
      const line = { scope: 'type', name: 'paused.line' } as const;
      const ids: string[] = [];
      const send = async () => {
        const { record } = await submit(world.app(), inOrder.with({ n: ids.length }));
        ids.push(record.id);
      };
      for (let n = 0; n < told.jobs; n++) await send();
      const by = {
        pause: () => pause(world, line),
        resume: () => resume(world.app(), line),
        look: () => world.attempt((app) => sendParked(app, 10_000)),
        submit: send,
        letters: () => world.watchLetters(),
      };
      // Refused, when it is not paused.
      for (const act of told.acts)
        world.actions.push(() => by[act as keyof typeof by]().catch(() => undefined) as never);
      await pause(world, line, {});
      await world.run(() => 0);
      while (world.actions.length > 0) {
        await world.actions.shift()?.();
        await world.run(() => 0);
      }
      call = told.troubles.length;
      await resume(world.app(), line).catch(() => undefined);
      await untilResumed(world);
      assert.deepEqual(world.violations, []);
      for (const id of ids) {
        const { state, error } = world.record(id) ?? {};
        assert.ok(state && hasEnded(state), `${id} is still ${state}`);
        assert.ok(
          state === 'succeeded' || error?.code === 'delivery_limit_exceeded',
          error?.message,
        );
      }
      const first = ran.filter((one, at) => ran.indexOf(one) === at);
      assert.deepEqual(first, first.toSorted(), 'they began as they came');
      assert.equal(await left(world, line), 0);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 150) },
  ));
