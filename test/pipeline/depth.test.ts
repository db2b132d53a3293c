/** Children of children: how deep they go, and what becomes of them when one above them falls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { submit } from '#longhaul/admit/submit.js';
import type { JobRequest } from '#longhaul/define/define-job.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { isOrphan } from '#longhaul/wait/children.js';
import { typeOf } from './world/one-job.ts';
import { World } from './world/world.ts';

/** A type that sends itself as its child, until `stops` of them wait for an event. */
function nested(stops = Number.POSITIVE_INFINITY) {
  let runs = 0;
  const type: { with(input: { n: number }): JobRequest } = typeOf(
    async (job) =>
      ++runs === stops ? job.event('a') : job.childrenSettled('again', [type.with({ n: 1 })]),
    { attempts: 1 },
  );
  return type;
}

test('a job that sends itself as its child ends at twenty', async () => {
  const type = nested();
  const world = new World([type as never]);
  await submit(world.app(), type.with({ n: 0 }));
  await world.run(() => 0);
  assert.equal(world.records.length, 21);
  const deepest = world.records.find(({ error }) => error?.code === 'too_deep');
  assert.equal(deepest?.above?.split(' ').length, 19);
  assert.equal(deepest?.state, 'failed');
});

test('no child starts once one above its parent was cancelled', async () => {
  const type = nested(5);
  const world = new World([type as never]);
  const app = world.app();
  const { record } = await submit(app, type.with({ n: 0 }));
  await world.run(() => 0);
  const child = world.records.find(({ above }) => above?.split(' ').length === 3);
  assert.ok(child);
  assert.equal(await isOrphan(app, child), false);
  world.change({ ...record, state: 'cancelled', finishedAt: '', keepUntil: '' });
  assert.equal(await isOrphan(app, child), true);
  await assert.rejects(cancel(app, record.id), /already ended/);
});
