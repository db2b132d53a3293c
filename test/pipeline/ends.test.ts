/** That a job ends, once, and that what follows from its end comes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { idOfChild } from '#longhaul/model/id.js';
import { toMessage } from '#longhaul/model/message.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { run, start, typeOf } from './world/one-job.ts';
import { type Trouble, World } from './world/world.ts';

const dayMs = 86_400_000;

describe('a cancelled job never starts', () => {
  test('though its record has expired before its delay is over', async () => {
    let runs = 0;
    const ran = await start(async () => ++runs, { keep: '1h' }, { options: { delay: '10d' } });
    await cancel(ran.world.app(), ran.id);
    ran.world.now += 9 * dayMs;
    await ran.world.removeExpired(true);
    assert.equal(ran.record().state, 'cancelled', 'the record is there until its message has come');
    await ran.rest();
    assert.equal(runs, 0);
  });

  test('though its record has expired before its backoff is over', async () => {
    let runs = 0;
    const backoff = { initial: '5h', max: '5h', jitter: false } as const;
    const ran = await start(
      async () => {
        runs++;
        throw new Error('once more');
      },
      { keep: '5m', backoff },
    );
    const { bus } = ran.world;
    const send = bus.send.bind(bus);
    bus.send = (message) => {
      send(message);
      if (!message.messageId.endsWith(':2')) return;
      void cancel(ran.world.app(), ran.id).then(async () => {
        ran.world.now += 2 * 3_600_000;
        await ran.world.removeExpired(true);
      });
    };
    await ran.rest();
    assert.equal(ran.record().state, 'cancelled');
    assert.equal(runs, 1);
  });

  test('when its message comes again after the record was removed', async () => {
    let runs = 0;
    const ran = await start(
      async () => ++runs,
      { keep: '5m' },
      { options: { replyTo: 'replies' } },
    );
    const [message] = ran.world.bus.all('standard');
    assert.ok(message);
    await ran.rest();
    ran.world.now += dayMs;
    await ran.world.removeExpired(true);
    assert.equal(ran.world.record(ran.id), undefined);
    ran.world.bus.send(message);
    await ran.rest();
    assert.equal(runs, 1);
    assert.equal(ran.world.record(ran.id), undefined);
  });
});

test('a job that ended and was removed before its worker told so is told when its message returns', async () => {
  let call = 0;
  // Dies with the write of its end.
  const trouble = (): Trouble => (++call === 3 ? 'dies for hours' : 'none');
  const ran = await start(
    async () => 1,
    { keep: '5m' },
    { options: { replyTo: 'replies' }, trouble },
  );
  const dying = ran.rest();
  while (ran.world.ends.size === 0) await new Promise((resolve) => setImmediate(resolve));
  ran.world.now += 3_600_000;
  await ran.world.removeExpired(true);
  await dying;
  assert.equal(ran.world.record(ran.id), undefined);
  assert.equal(ran.world.bus.all('replies').length, 1);
});

describe('started again', () => {
  test('a parent whose child failed sends the group anew', async () => {
    let broken = true;
    const child = typeOf(
      async () => {
        if (broken) throw new Error('broken');
        return 1;
      },
      { attempts: 1 },
      'child',
    );
    const parent = typeOf((job) => job.children('parts', [child.with({}), child.with({})]));
    const world = new World([child, parent]);
    const { record } = await submit(world.app(), parent.with({}));
    await world.run(() => 0);
    assert.equal(world.record(record.id)?.state, 'failed');
    broken = false;
    await retry(world.app(), record.id);
    await world.run(() => 0);
    assert.equal(
      world.record(record.id)?.state,
      'succeeded',
      world.record(record.id)?.error?.message,
    );
  });

  test('a job that could not be undone keeps what is to be undone', async () => {
    const undone: string[] = [];
    const ran = await start(
      async (job) => {
        await job.step('hotel', async () => 1, { undo: async () => void undone.push('hotel') });
        throw new Error(`attempt ${job.attempt}`);
      },
      { attempts: 2 },
    );
    // Between its attempts its input becomes one that fits no schema.
    const { bus } = ran.world;
    const send = bus.send.bind(bus);
    bus.send = (message) =>
      send(message.messageId.endsWith(':2') ? { ...message, body: Buffer.from('"no"') } : message);
    await ran.rest();
    assert.deepEqual([ran.record().state, ran.record().error?.code], ['failed', 'invalid_input']);
    assert.deepEqual(undone, []);
    bus.send = send;
    ran.world.change({ ...ran.record(), input: { json: '{"n":1}' } });
    await retry(ran.world.app(), ran.id);
    await ran.rest();
    assert.deepEqual(undone, ['hotel']);
  });

  test('a failed job is no longer announced as one that ended', async () => {
    let broken = true;
    const ran = await start(
      async () => {
        if (broken) throw new Error('broken');
        return 1;
      },
      { attempts: 1 },
      { options: { requestedBy: 'ada' } },
    );
    const announced = () =>
      [...ran.world.stores.notes.values()].filter((value) => value.includes(ran.id));
    await ran.rest();
    assert.equal(announced().length, 1);
    broken = false;
    ran.world.now += 60_000;
    await retry(ran.world.app(), ran.id);
    assert.deepEqual(announced(), []);
    await ran.rest();
    assert.match(announced().join(), /succeeded/);
  });
});

test('a cancel between the record of a retry and its send is told all the same', async () => {
  let down = false;
  const ran = await start(
    async () => {
      down = true;
      throw new Error('once');
    },
    {},
    { options: { replyTo: 'replies' } },
  );
  const { bus } = ran.world;
  const send = bus.send.bind(bus);
  bus.send = (message) => {
    if (down) throw new Error('the bus is away');
    send(message);
  };
  const first = ran.rest();
  while (ran.record().attempt < 2) await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(cancel(ran.world.app(), ran.id), /away/);
  down = false;
  await first;
  assert.equal(ran.record().state, 'cancelled');
  assert.equal(bus.all('replies').length, 1);
});

test('what the broker buried after it was decided is told by the watch', async () => {
  const ran = await start(async () => 1, {}, { options: { replyTo: 'replies' } });
  const { bus } = ran.world;
  const send = bus.send.bind(bus);
  let refused = 0;
  bus.send = (message) => {
    if (message.queue === 'replies' && ++refused <= 10) throw new Error('the bus is away');
    send(message);
  };
  await ran.rest();
  assert.equal(refused, 11);
  assert.equal(bus.all('replies').length, 1);
});

describe('children of a parent that is cancelled', () => {
  test('are no longer sent, and those that were do not start', async () => {
    let started = 0;
    const child = typeOf(async () => ++started, {}, 'child');
    let world: World;
    let id = '';
    let call = 0;
    const parent = typeOf((job) =>
      job.children(
        'parts',
        Array.from({ length: 300 }, () => child.with({})),
      ),
    );
    world = new World([child, parent], () => (++call === 150 ? 'somebody acts' : 'none'));
    world.actions.push(() => cancel(world.app(), id));
    const { record } = await submit(world.app(), parent.with({}));
    id = record.id;
    await world.run(() => 0);
    assert.equal(world.record(id)?.state, 'cancelled');
    assert.ok(started < 300, `${started} started`);
    const open = world.records.filter(({ state }) => !['cancelled', 'succeeded'].includes(state));
    assert.deepEqual(open, []);
  });

  test('do not start when the word of it came before they had a record', async () => {
    let started = 0;
    const child = typeOf(async () => ++started, {}, 'child');
    const parent = typeOf((job) => job.children('parts', [child.with({})]));
    const world = new World([child, parent]);
    const { record } = await submit(world.app(), parent.with({}));
    const { id } = record;
    const group = { of: 1, at: record.createdAt, turn: 1, ended: '', done: 0, failed: [] };
    world.change({
      ...record,
      state: 'cancelled',
      finishedAt: '',
      keepUntil: '',
      children: { parts: group },
    });
    const message = {
      ...{ id: idOfChild(id, 'parts', group, 0), type: 'child', attempt: 1, turn: 1 },
      ...{ queue: 'standard', contentType: 'application/json', body: Buffer.from('{}') },
      ...{ parent: id, place: '0:parts', createdAt: record.createdAt },
    };
    world.bus.send(toMessage(message));
    await world.run(() => 0);
    assert.equal(started, 0);
    assert.equal(world.record(message.id)?.state, 'cancelled');
  });
});

test('a limit over children of two lanes is refused', async () => {
  const [one, other] = [
    typeOf(async () => 1, {}, 'one'),
    typeOf(async () => 1, { lane: 'bulk' }, 'other'),
  ];
  const parent = typeOf((job) =>
    job.children('mixed', [one.with({}), other.with({})], { limit: 1 }),
  );
  const world = new World([one, other, parent]);
  const { record } = await submit(world.app(), parent.with({}));
  await world.run(() => 0);
  const { error } = world.record(record.id) ?? {};
  assert.equal(error?.code, 'mixed_lanes');
  assert.match(error?.message ?? '', /standard, bulk/);
});

test('a child’s input is read as its worker will read it', async () => {
  const child = defineJob({
    type: 'child',
    // @ts-expect-error: a Date is not JSON, and the compiler says so
    input: z.object({ at: z.date() }),
    run: async () => ({ ok: true }),
  });
  const parent = typeOf((job) => job.children('parts', [child.with({ at: new Date() })]));
  const world = new World([child, parent]);
  const { record } = await submit(world.app(), parent.with({}));
  await world.run(() => 0);
  assert.match(
    world.record(record.id)?.error?.message ?? '',
    /The input of child 0 of 'parts' is not JSON: \/at is a Date/,
  );
});

test('two large events of one name that come at once: the first that is heard stays, whole', async () => {
  const ran = await start(async (job) => (await job.event('a')).text?.[0]);
  const { world, id } = ran;
  await tellEvent(world.app(), id, 'a', { n: 1, text: 'A'.repeat(40_000) });
  // The broker takes the first of the two; the blob of the second is its own.
  await tellEvent(world.app(), id, 'a', { n: 2, text: 'B'.repeat(40_000) });
  await ran.rest();
  assert.equal(ran.result(), 'A');
});

test('a state of its key is not left by a job that was cancelled in its first two seconds', async () => {
  const counted: number[] = [];
  const type = typeOf(
    async (job) => {
      const before = (await job.session.get<number>()) ?? 0;
      await job.session.set(before + 1);
      counted.push(before);
      return before;
    },
    { key: () => 'k' },
  );
  let call = 0;
  let world: World;
  let id = '';
  world = new World([type], () => (++call === 3 ? 'somebody acts' : 'none'));
  world.actions.push(() => cancel(world.app(), id));
  id = (await submit(world.app(), type.with({}))).record.id;
  await world.run(() => 0);
  const { state } = world.record(id) ?? {};
  call = 1_000;
  await submit(world.app(), type.with({}));
  await world.run(() => 0);
  assert.equal(counted.at(-1), state === 'succeeded' ? 1 : 0);
});

test('a job that is cancelled after its worker died at the end leaves no state', async () => {
  let found: number | undefined;
  const type = typeOf(
    async (job) => {
      found = await job.session.get<number>();
      await job.session.set((found ?? 0) + 1);
      return 1;
    },
    { key: () => 'k' },
  );
  let call = 0;
  let id = '';
  // It dies once the state is written; somebody cancels before it is delivered again.
  const troubles: Record<number, Trouble> = { 5: 'dies after', 6: 'somebody acts' };
  const world: World = new World([type], () => troubles[++call] ?? 'none');
  world.actions.push(() => cancel(world.app(), id));
  id = (await submit(world.app(), type.with({}))).record.id;
  await world.run(() => 0);
  assert.equal(world.record(id)?.state, 'cancelled');
  await submit(world.app(), type.with({}));
  await world.run(() => 0);
  assert.equal(found, undefined);
});

test('a state that is too large is told where it is set', async () => {
  const { record } = await run(
    async (job) => {
      await job.session.set('s'.repeat(200_000));
      return 1;
    },
    { key: () => 'k' },
  );
  assert.equal(record().error?.code, 'session_state_too_large');
});

test('an ordered job that is cancelled in its backoff lets its key go within seconds', async () => {
  const ended: [string, number][] = [];
  const backoff = { initial: '9m', max: '9m', jitter: false } as const;
  const type = typeOf(
    async (job) => {
      if (job.requester.requestedBy === 'first') throw new Error('again in nine minutes');
      ended.push([job.id, world.now]);
      return 1;
    },
    { key: () => 'k', ordered: true, backoff },
  );
  const world: World = new World([type]);
  const app = world.app();
  const began = world.now;
  const { record: first } = await submit(app, type.with({}, { requestedBy: 'first' }));
  await submit(app, type.with({}, { requestedBy: 'second' }));
  const running = world.run(() => 0);
  while (world.record(first.id)?.attempt === 1) await new Promise((r) => setImmediate(r));
  await cancel(app, first.id);
  await running;
  assert.equal(world.record(first.id)?.state, 'cancelled');
  assert.ok(
    (ended[0]?.[1] ?? Infinity) - began < 30_000,
    'the second did not wait for the backoff',
  );
});
