/** `Idempotency-Key`, case by case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { submitOnce } from '#longhaul/admit/idempotency.js';
import { submit } from '#longhaul/admit/submit.js';
import type { JobPolicy } from '#longhaul/define/define-job.js';
import { IdempotencyKeyReusedError, InvalidInputError } from '#longhaul/errors.js';
import { typeOf } from './world/one-job.ts';
import { World } from './world/world.ts';

function start(policy: JobPolicy<{ n: number }> = {}) {
  let runs = 0;
  const type = typeOf(async () => ++runs, { keep: '5m', ...policy });
  const world = new World([type]);
  const app = world.app();
  const once = (n: number, key?: string, origin = {}) =>
    submitOnce(app, type.with({ n }), key, origin);
  return { world, app, type, once, runs: () => runs };
}

const claimsOf = ({ stores }: World) =>
  [...stores.notes].filter(([name]) => name.startsWith('idempotency-key\n'));

test('the same key gives the same job, before its end and after it', async () => {
  const { world, once, runs } = start();
  const first = await once(1, 'K');
  assert.deepEqual([first.replayed, first.deduplicated], [false, false]);
  const { record, replayed, deduplicated } = await once(1, 'K');
  assert.deepEqual([record.id, replayed, deduplicated], [first.record.id, true, false]);
  await world.run(() => 0);
  const late = await once(1, 'K');
  assert.deepEqual([late.record.id, late.record.state], [first.record.id, 'succeeded']);
  assert.equal(runs(), 1);
});

test('without a key, or with another, it is another job', async () => {
  const { once } = start();
  const all = [await once(1, 'K'), await once(1, 'L'), await once(1), await once(1)];
  assert.equal(new Set(all.map(({ record }) => record.id)).size, 4);
  assert.ok(all.every(({ replayed }) => !replayed));
});

test('another request under the same key is refused, and changes nothing', async () => {
  const { world, once } = start();
  await once(1, 'K');
  await assert.rejects(once(2, 'K'), IdempotencyKeyReusedError);
  assert.equal(world.records.length, 1);
  assert.equal(world.bus.all('standard').length, 1);
});

test('a key used for a run of one schedule is not that of another', async () => {
  const { once } = start();
  await once(1, 'K', { schedule: 'a' });
  await assert.rejects(once(1, 'K', { schedule: 'b' }), IdempotencyKeyReusedError);
  assert.equal((await once(1, 'K', { schedule: 'a' })).replayed, true);
});

test('a request that is refused does not use up its key', async () => {
  const { app, once } = start();
  const refused = { type: 'test', input: { n: 'x' } };
  await assert.rejects(submitOnce(app, refused, 'K'), InvalidInputError);
  assert.equal((await once(1, 'K')).replayed, false);
});

test('a crash after the claim is mended by the next that asks', async () => {
  const { world, app, once, runs } = start();
  const { send } = app.queue;
  app.queue.send = () => new Promise(() => undefined);
  void once(1, 'K');
  while (claimsOf(world).length === 0) await new Promise((r) => setImmediate(r));
  app.queue.send = send;
  const [[, claim = ''] = []] = claimsOf(world);
  const { record } = await once(1, 'K');
  assert.equal(
    record.id,
    (JSON.parse(claim) as { id: string }).id,
    'under the id that was claimed',
  );
  await world.run(() => 0);
  assert.equal(runs(), 1);
});

test('the claim goes with its job, and the key gives a new one', async () => {
  const { world, once, runs } = start();
  const { record } = await once(1, 'K');
  await world.run(() => 0);
  world.now += 30 * 60_000;
  await world.removeExpired(true);
  assert.deepEqual(claimsOf(world), []);
  const again = await once(1, 'K');
  assert.deepEqual([again.record.id === record.id, again.replayed], [false, false]);
  await world.run(() => 0);
  assert.equal(runs(), 2);
});

test('a claim that its job left behind gives way, for good', async () => {
  const { world, once, runs } = start();
  await once(1, 'K');
  const [[name = '', claim = ''] = []] = claimsOf(world);
  await world.run(() => 0);
  world.now += 30 * 60_000;
  await world.removeExpired(true);
  world.stores.notes.set(name, claim);
  const second = await once(1, 'K');
  assert.equal(second.replayed, false);
  const third = await once(1, 'K');
  assert.deepEqual([third.record.id, third.replayed], [second.record.id, true]);
  await world.run(() => 0);
  assert.equal(runs(), 2);
});

test('a key that met an equal job gives that one again, also once it has ended', async () => {
  const { world, app, type, once } = start({ unique: { until: 'finished' } });
  const { record } = await submit(app, type.with({ n: 1 }));
  const met = await once(1, 'K');
  assert.deepEqual(
    [met.record.id, met.deduplicated, met.replayed],
    [record.id, true, false],
    'it was not made for the key',
  );
  // Asked twice, the job has the claim once.
  await once(1, 'K');
  assert.equal(world.record(record.id)?.claims?.split(' ').length, 2);
  await world.run(() => 0);
  const late = await once(1, 'K');
  assert.deepEqual([late.record.id, late.replayed], [record.id, true]);
  world.now += 30 * 60_000;
  await world.removeExpired(true);
  assert.deepEqual(claimsOf(world), []);
});

test('a record has a hundred claims at most', async () => {
  const { world, app, type, once } = start({ unique: { until: 'finished' } });
  const { record } = await submit(app, type.with({ n: 1 }));
  for (let n = 0; n < 120; n++) await once(1, `K${n}`);
  assert.equal(world.record(record.id)?.claims?.split(' ').length, 100);
});
