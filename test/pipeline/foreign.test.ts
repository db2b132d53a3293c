/** Messages that somebody else sent: any id, any body, without what `submit` would have done. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { submit } from '#longhaul/admit/submit.js';
import { hasEnded } from '#longhaul/model/job-record.js';
import { messageIdOf } from '#longhaul/model/names.js';
import { fc } from '../support/properties.ts';
import { typeOf } from './world/one-job.ts';
import { sent } from './world/stranger.ts';
import { World } from './world/world.ts';

describe('an id of the sender’s own', () => {
  test('that looks like another’s later turn is a job of its own', async () => {
    const ran: string[] = [];
    const type = typeOf(async (job) => {
      ran.push(`${job.id} ${job.attempt}`);
      if (job.attempt === 1) throw new Error('once');
      return 1;
    });
    const world = new World([type]);
    for (const id of ['inv', 'inv:2', 'inv:callback', 'inv:callback:2']) world.bus.send(sent(id));
    await world.run(() => 0);
    assert.equal(ran.length, 8, ran.join(', '));
    assert.deepEqual(
      world.records.map(({ id, state }) => `${id} ${state}`).sort(),
      ['inv', 'inv:2', 'inv:callback', 'inv:callback:2'].map((id) => `${id} succeeded`),
    );
  });

  test('of 128 characters is tried again, waits, and is replied to', async () => {
    const type = typeOf(async (job) => {
      if (job.attempt === 1) throw new Error('once');
      await job.sleep('1m');
      return 1;
    });
    const world = new World([type]);
    const id = 'x'.repeat(128);
    world.bus.send(sent(id, { replyTo: 'replies' }));
    await world.run(() => 0);
    assert.equal(world.record(id)?.state, 'succeeded');
    assert.equal(world.bus.all('replies').length, 1);
  });

  test('keeps its blobs to itself', async () => {
    const type = typeOf(
      async (job) => {
        await job.files.write('a.txt', job.id);
        return 'r'.repeat(40_000);
      },
      { keep: '1h' },
    );
    const world = new World([type]);
    const ids = ['orders', 'orders/1', 'orders/../orders', 'orders/files'];
    world.bus.send(sent('orders'));
    await world.run(() => 0);
    world.now += 50 * 60_000;
    for (const id of ids.slice(1)) world.bus.send(sent(id));
    await world.run(() => 0);
    world.now += 20 * 60_000;
    await world.removeExpired(true);
    assert.deepEqual(world.records.map(({ id }) => id).sort(), ids.slice(1).sort());
    assert.equal(world.stores.blobs.size, 6, [...world.stores.blobs.keys()].join());
    for (const name of world.stores.blobs.keys()) assert.doesNotMatch(name, /\.\.|orders/);
  });
});

test('names of messages cannot meet, whatever the ids are', () => {
  const id = fc.oneof(
    fc.string({ maxLength: 12, unit: fc.constantFrom('a', ':', '1', '2', '~', '/') }),
    fc.string({ minLength: 100, maxLength: 128 }),
  );
  const part = fc.constantFrom('callback', 'reply', 1, 2, 'wake');
  const named = fc.tuple(id, fc.array(part, { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(named, named, ([one, a], [other, b]) => {
      const [first, second] = [messageIdOf(one, ...a), messageIdOf(other, ...b)];
      assert.ok(first.length <= 128);
      assert.equal(first === second, one === other && a.join(':') === b.join(':'));
      assert.notEqual(first, other, 'a made name is nobody’s own');
    }),
    { numRuns: 2_000 },
  );
});

test('a message of a keyed type without its session runs under its key', async () => {
  const sessions: string[] = [];
  const type = typeOf(
    async (job) => {
      await job.session.set(1);
      sessions.push(job.id);
      return 1;
    },
    { key: ({ n }) => `key ${n}` },
  );
  const world = new World([type]);
  world.bus.send(sent('without'));
  world.bus.send(sent('wrong', { queue: 'standard-keyed', sessionId: 'key 2' }));
  world.bus.send(sent('right', { queue: 'standard-keyed', sessionId: 'key 1' }));
  await world.run(() => 0);
  for (const id of ['without', 'wrong', 'right']) {
    const { state, key, error } = world.record(id) ?? {};
    assert.deepEqual([state, key], ['succeeded', 'key 1'], `${id}: ${error?.message}`);
  }
  assert.equal(sessions.length, 3);
});

test('a key function that throws fails the job, and says why', async () => {
  const type = typeOf(async () => 1, {
    key: () => {
      throw new TypeError('no such member');
    },
  });
  const world = new World([type]);
  world.bus.send(sent('bad'));
  await world.run(() => 0);
  assert.equal(world.record('bad')?.state, 'failed');
  assert.match(world.record('bad')?.error?.message ?? '', /no such member/);
});

test('a message that lay longer than its type’s `startBefore` expires', async () => {
  let runs = 0;
  const world = new World([typeOf(async () => ++runs, { startBefore: '1h' })]);
  world.bus.send(sent('late'));
  world.now += 2 * 3_600_000;
  await world.run(() => 0);
  assert.equal(world.record('late')?.state, 'expired');
  assert.equal(runs, 0);
});

test('a message that is the equal of a job gives way to it, and says to which', async () => {
  let runs = 0;
  const type = typeOf(
    async (job) => {
      runs++;
      await job.sleep('1h');
      return 1;
    },
    { unique: { until: 'finished' } },
  );
  const world = new World([type]);
  const { record } = await submit(world.app(), type.with({ n: 1 }));
  world.bus.send(sent('equal', { replyTo: 'replies' }));
  world.bus.send(sent('other', { body: Buffer.from('{"n":2}') }));
  await world.run(() => 0);
  const { state, error } = world.record('equal') ?? {};
  assert.deepEqual([state, error?.code], ['cancelled', 'equal_job']);
  assert.match(error?.message ?? '', new RegExp(record.id));
  assert.equal(world.bus.all('replies').length, 1);
  assert.equal(world.record('other')?.state, 'succeeded');
  assert.equal(runs, 4);
});

describe('whatever a message says', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.constantFrom('__proto__', '../x', 'a/b', ':2', '', 'constructor'),
  );
  const body = fc.oneof(
    fc.json().map((json) => Buffer.from(json)),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(Buffer.from('{"n":1}')),
    fc.constant(Buffer.from('{"blob":"jobs/none/input.json"}')),
  );
  const property = fc.oneof(text, fc.integer(), fc.double());
  const foreign = fc.record({
    id: text,
    contentType: fc.constantFrom(
      'application/json',
      'application/vnd.longhaul.blob+json',
      'text/plain',
    ),
    body,
    replyTo: fc.option(fc.constant('replies'), { nil: undefined }),
    properties: fc.dictionary(
      fc.constantFrom('type', 'attempt', 'turn', 'job', 'parent', 'place', 'schedule', 'key'),
      property,
      { maxKeys: 5 },
    ),
    known: fc.boolean(),
  });

  test('its job ends, and no other is harmed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(foreign, { minLength: 1, maxLength: 6 }), async (all) => {
        const type = typeOf(async () => 1, { attempts: 2 });
        const world = new World([type]);
        const { record } = await submit(world.app(), type.with({}, { replyTo: 'replies' }));
        for (const { id, known, properties, replyTo, ...one } of all)
          world.bus.send(
            sent(id || randomBytes(4).toString('hex'), {
              ...one,
              ...(replyTo ? { replyTo } : {}),
              properties: { ...properties, ...(known ? { type: 'test' } : {}) } as never,
            }),
          );
        await world.run(() => 0);
        assert.equal(world.record(record.id)?.state, 'succeeded');
        for (const { state, id } of world.records) assert.ok(hasEnded(state), `${id} is ${state}`);
        assert.deepEqual(world.violations, []);
      }),
      { numRuns: Number(process.env['RUNS'] ?? 150) },
    );
  });
});
