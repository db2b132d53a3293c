/** Equal submits, with and without Idempotency-Keys, by processes that die, while jobs end and expire. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { submitOnce } from '#longhaul/admit/idempotency.js';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { submitMany } from '#longhaul/admit/submit-many.js';
import type { Duration } from '#longhaul/define/define-job.js';
import { EqualJobError } from '#longhaul/errors.js';
import { hasEnded } from '#longhaul/model/job-record.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { fc } from '../support/properties.ts';
import { typeOf } from './world/one-job.ts';
import { type Trouble, World } from './world/world.ts';

const hourMs = 3_600_000;

test('an Idempotency-Key that gave an equal job gives a new one when that is gone', async () => {
  let runs = 0;
  const type = typeOf(async () => ++runs, { keep: '5m', unique: { until: 'expiry' } });
  const world = new World([type]);
  const { record: first } = await submit(world.app(), type.with({}));
  const { record: second } = await submitOnce(world.app(), type.with({}), 'K');
  assert.equal(second.id, first.id);
  await world.run(() => 0);
  world.now += 30 * 60_000;
  await world.removeExpired(true);
  const { record: third, replayed } = await submitOnce(world.app(), type.with({}), 'K');
  assert.notEqual(third.id, first.id);
  assert.equal(replayed, false);
  await world.run(() => 0);
  assert.equal(runs, 2);
  assert.equal(world.record(third.id)?.state, 'succeeded');
});

test('the reply goes to who asked first, though another wrote the record', async () => {
  const type = typeOf(async () => 1, { unique: { until: 'finished' } });
  const world = new World([type]);
  const app = world.app();
  // The first dies after its send, the second finds its claim and no record.
  const { write } = app.records;
  app.records.write = () => new Promise(() => undefined);
  void submit(app, type.with({}, { replyTo: 'replies', correlationId: 'first' }));
  while (world.bus.all('standard').length === 0) await new Promise((r) => setImmediate(r));
  app.records.write = write;
  const { deduplicated } = await submit(
    app,
    type.with({}, { replyTo: 'replies', correlationId: 'second' }),
  );
  assert.equal(deduplicated, true);
  assert.equal(world.records.length, 1, 'who asks for it finds it');
  await world.run(() => 0);
  assert.deepEqual(
    world.bus.all('replies').map(({ correlationId }) => correlationId),
    ['first'],
  );
});

test('a failed job is not started again beside an equal one that is just being made', async () => {
  let broken = true;
  const type = typeOf(
    async () => {
      if (broken) throw new Error('broken');
      return 1;
    },
    { attempts: 1, unique: { until: 'finished' } },
  );
  const world = new World([type]);
  const app = world.app();
  const { record } = await submit(app, type.with({}));
  await world.run(() => 0);
  const { write } = app.records;
  app.records.write = () => new Promise(() => undefined);
  void submit(app, type.with({}));
  while (world.bus.all('standard').length === 0) await new Promise((r) => setImmediate(r));
  app.records.write = write;
  broken = false;
  await assert.rejects(retry(app, record.id), EqualJobError);
});

describe('a batch', () => {
  test('keeps the order of its jobs of one key, however large one is', async () => {
    const ran: number[] = [];
    const type = typeOf(
      async (job) => {
        ran.push(Number(job.requester.requestedBy));
        return 1;
      },
      { key: () => 'k' },
    );
    const world = new World([type]);
    const sizes = [0, 200_000, 0, 200_000, 0];
    const requests = sizes.map((size, n) => () => ({
      ...type.with({ n }, { requestedBy: String(n) }),
      input: { n, padding: 'p'.repeat(size) },
    }));
    await submitMany(world.app(), requests, 'K');
    await world.run(() => 0);
    assert.deepEqual(ran, [0, 1, 2, 3, 4]);
  });

  test('of which some are refused sends the others', async () => {
    const type = typeOf(async () => 1);
    const world = new World([type]);
    const requests = [0, 'x', 1, 'y', 2].map((n) => () => ({ type: 'test', input: { n } }));
    const answers = await submitMany(world.app(), requests);
    assert.deepEqual(
      answers.map((one) => 'refused' in one),
      [false, true, false, true, false],
    );
    await world.run(() => 0);
    assert.equal(world.records.length, 3);
  });
});

test('the input of a job that was never sent is removed in the end', async () => {
  const type = typeOf(async () => 1);
  const world = new World([type]);
  const app = world.app();
  app.queue.send = () => Promise.reject(new Error('the bus is away'));
  const request = { ...type.with({}), input: { padding: 'p'.repeat(200_000) } };
  await assert.rejects(submit(app, request), /away/);
  assert.equal(world.stores.blobs.size, 1);
  world.now += 16 * 24 * hourMs;
  await world.removeExpired(true);
  assert.equal(world.stores.blobs.size, 0);
});

const troubles = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Trouble>('none') },
    fc.constantFrom<Trouble>(
      ...(['dies before', 'dies after', 'fails before', 'fails after'] as const),
      ...(['another works', 'somebody acts', 'slow'] as const),
    ),
  ),
  { maxLength: 60 },
);
const act = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant('submit' as const),
      n: fc.nat(1),
      key: fc.option(fc.constantFrom('K', 'L'), { nil: undefined }),
    }),
  },
  fc.record({
    act: fc.constantFrom('work' as const, 'pass' as const, 'janitor' as const, 'cancel' as const),
    n: fc.nat(1),
    key: fc.constant(undefined),
  }),
);

test('of equal jobs one is under way at a time, and each that was accepted is there', async () => {
  await fc.assert(
    fc.asyncProperty(
      troubles,
      fc.array(act, { minLength: 2, maxLength: 12 }),
      fc.constantFrom('started' as const, 'finished' as const, 'expiry' as const),
      fc.constantFrom<Duration>('5m', '7d'),
      async (told, acts, until, keep) => {
        const underWay = new Map<number, Set<string>>();
        let overlaps = 0;
        const type = typeOf(
          async (job) => {
            const n = Number(job.requester.requestedBy);
            const of = underWay.get(n) ?? new Set();
            underWay.set(n, of.add(job.id));
            if (of.size > 1) overlaps++;
            await job.sleep('10m');
            // Its record is written a moment later.
            of.delete(job.id);
            return n;
          },
          { keep, unique: { by: (_, { requestedBy }) => requestedBy, until } },
        );
        let call = 0;
        const world = new World([type], () => told[call++] ?? 'none');
        const accepted = new Set<string>();
        for (const { act: what, n, key } of acts) {
          if (what === 'work') await world.run(() => 0);
          if (what === 'pass') world.now += 10 * 60_000;
          if (what === 'janitor') await world.removeExpired();
          if (what === 'cancel')
            for (const { id } of world.records)
              await world.attempt((app) => cancel(app, id)).catch(() => undefined);
          if (what !== 'submit') continue;
          const request = type.with({ n }, { requestedBy: String(n) });
          const answer = await world.attempt((app) =>
            submitOnce(app, request, key && `${key} ${n}`).catch(() => undefined),
          );
          if (answer) accepted.add(answer.record.id);
        }
        await world.run(() => 0);
        assert.deepEqual(world.violations, []);
        if (until !== 'started') assert.equal(overlaps, 0, 'two equal jobs were under way');
        for (const id of accepted) {
          const state = world.record(id)?.state;
          const isOver = state ? hasEnded(state) : world.stores.tombstones.has(id);
          assert.ok(isOver, `${id} was accepted and is ${state}`);
        }
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 150) },
  );
});
