/** What is believed of a message that the app did not send. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { createSeal } from '#longhaul/azure/seal.js';
import { idOfChild, idOfOccurrence } from '#longhaul/model/id.js';
import { fromMessage, type IncomingMessage, toMessage } from '#longhaul/model/message.js';
import { messageIdOf } from '#longhaul/model/names.js';
import { typeOf } from './world/one-job.ts';
import { sent } from './world/stranger.ts';
import { World } from './world/world.ts';

describe('the mark of the app', () => {
  const seal = createSeal(Promise.resolve('a key'));
  const made = toMessage({
    ...{ id: 'a', type: 'test', attempt: 1, turn: 1, queue: 'standard' },
    ...{ contentType: 'application/json', body: Buffer.from('{}'), parent: 'p', place: '0:x' },
  });
  const isForeign = async (message: IncomingMessage) =>
    fromMessage(await seal.open(message)).isForeign === true;

  test('is known again, also when tracing has written to the message', async () => {
    const closed = await seal.close(made);
    assert.equal(await isForeign(closed), false);
    const properties = { ...closed.properties, traceparent: '00-1', 'Diagnostic-Id': 'x' };
    assert.equal(await isForeign({ ...closed, properties }), false);
  });

  test('is not taken from one who copies it, guesses it, or changes what it stands on', async () => {
    const closed = await seal.close(made);
    for (const changed of [
      { ...made, properties: { ...made.properties } },
      { ...closed, messageId: 'b' },
      { ...closed, body: Buffer.from('{"other":1}') },
      { ...closed, queue: 'urgent' },
      { ...closed, replyTo: 'replies' },
      { ...closed, properties: { ...closed.properties, parent: 'another' } },
      { ...closed, properties: { ...closed.properties, claims: 'unique/x' } },
      { ...closed, properties: { ...closed.properties, longhaul: 'AAAA' } },
    ])
      assert.equal(await isForeign(changed), true);
    const theirs = createSeal(Promise.resolve('another key'));
    assert.equal(await isForeign(await theirs.close(made)), true);
  });
});

describe('the broker drops the second message of an id', () => {
  const seal = createSeal(Promise.resolve('a key'));
  const id = idOfOccurrence('any', new Date(0));
  const turn = (turn: number) =>
    toMessage({
      ...{ id, type: 'test', attempt: turn, turn, queue: 'standard' },
      ...{ contentType: 'application/json', body: Buffer.from('{}') },
    });

  test('a first message has the job’s id, a later one an id that only the app can make', async () => {
    assert.equal((await seal.close(turn(1))).messageId, id);
    const { messageId } = await seal.close(turn(2));
    assert.match(messageId, new RegExp(`^${id}:2:[\\w-]{16}$`));
    assert.equal((await seal.close(turn(2))).messageId, messageId);
    const theirs = createSeal(Promise.resolve('another key'));
    assert.notEqual((await theirs.close(turn(2))).messageId, messageId);
  });

  test('the app reads it as it wrote it, and one that an older version sent', async () => {
    const closed = await seal.close(turn(2));
    const {
      messageId,
      id: job,
      turn: read,
    } = { ...closed, ...fromMessage(await seal.open(closed)) };
    assert.deepEqual([(await seal.open(closed)).messageId, job, read], [`${id}:2`, id, 2]);
    assert.ok(messageId.length <= 128);
  });

  test('a stranger’s id that reads like one of the app’s is refused', async () => {
    let runs = 0;
    const world = new World([typeOf(async () => ++runs)]);
    const foreign = messageIdOf('a stranger’s', 2);
    for (const like of [`${id}:2`, `${id}:callback`, `${id}:keyed`, foreign, foreign.slice(0, -2)])
      world.bus.send(sent(like));
    for (const other of ['order:2', `${id.slice(1)}:2`, '~a:2', ':2']) world.bus.send(sent(other));
    await world.run(() => 0);
    assert.equal(runs, 4);
    assert.equal(world.bus.letters('standard', 0, 10).length, 5);
  });
});

test('whoever knows a parent cannot foresee its children’s ids', async () => {
  const child = typeOf(async () => 1, {}, 'child');
  const parent = typeOf((job) => job.children('parts', [child.with({ n: 1 })]));
  const world = new World([parent, child]);
  const { record } = await submit(world.app(), parent.with({ n: 1 }));
  await world.run(() => 0);
  const { salt, ...known } = world.record(record.id)?.children?.['parts'] ?? assert.fail();
  const [id] = world.records.filter(({ parent }) => parent).map(({ id }) => id);
  assert.ok(salt);
  assert.equal(idOfChild(record.id, 'parts', { ...known, salt }, 0), id);
  assert.notEqual(idOfChild(record.id, 'parts', known, 0), id);
});

test('a stranger says nothing of other jobs', () => {
  const { parent, place, above, schedule, claims, callback, createdAt, turn, id, key } =
    fromMessage(
      sent('job:2', {
        sessionId: 'k~1',
        properties: {
          ...{ type: 'test', job: 'job', turn: 2, attempt: 2, key: 'k', parent: 'p', place: '0:x' },
          ...{ above: 'r', schedule: 's', claims: 'unique/u', callback: 'https://example.com' },
          createdAt: '2020-01-01T00:00:00Z',
        },
      }),
    );
  assert.deepEqual([id, turn, key], ['job:2', 1, 'k~1']);
  for (const said of [parent, place, above, schedule, claims, callback, createdAt])
    assert.equal(said, undefined);
});

describe('a stranger’s message with the id of a job that is not his', () => {
  const type = typeOf(async (job) => {
    await job.sleep('1m');
    return job.id;
  });

  test('is a dead letter, and the job goes on', async () => {
    const world = new World([type]);
    const { record } = await submit(world.app(), type.with({ n: 1 }));
    await world.run(() => 0);
    world.bus.send(sent(record.id, { queue: 'urgent', body: Buffer.from('{"n":666}') }));
    world.bus.send(sent(record.id, { queue: 'bulk', properties: { type: 'another' } }));
    await world.run(() => 0);
    assert.equal(world.record(record.id)?.state, 'succeeded');
    assert.equal(world.record(record.id)?.type, 'test');
  });

  test('starts no failed job again', async () => {
    let runs = 0;
    const failing = typeOf(
      async () => {
        runs++;
        throw new Error('no');
      },
      { attempts: 1 },
    );
    const world = new World([failing]);
    const { record } = await submit(world.app(), failing.with({ n: 1 }));
    await world.run(() => 0);
    const properties = { type: 'test', job: record.id, turn: 2, attempt: 2 };
    world.bus.send(sent(`${record.id}:2`, { properties }));
    await world.run(() => 0);
    assert.equal(world.record(record.id)?.turn, 1);
    assert.equal(runs, 1);
    assert.equal(world.bus.letters('standard', 0, 10).length, 2, 'the job’s and the stranger’s');
  });
});

describe('what a stranger sent stays a stranger’s', () => {
  test('when it is retried: a type that nobody may submit is not run', async () => {
    let runs = 0;
    const closed = typeOf(async () => ++runs, {}, 'longhaul.callback');
    const world = new World([closed]);
    world.bus.send(sent('evil', { properties: { type: 'longhaul.callback' } }));
    await world.run(() => 0);
    assert.equal(world.record('evil')?.error?.code, 'unknown_job_type');
    await assert.rejects(retry(world.app(), 'evil'));
    await world.run(() => 0);
    assert.equal(runs, 0);
  });

  test('when another uses its id, while it runs and has claimed its equality', async () => {
    const ran: string[] = [];
    const type = typeOf(
      async (job) => {
        ran.push(job.id);
        await job.sleep('1m');
        return 'its own';
      },
      { unique: { until: 'finished' } },
    );
    const world = new World([type]);
    world.bus.send(sent('s', { body: Buffer.from('{"n":1}') }));
    world.bus.send(sent('s', { queue: 'bulk', body: Buffer.from('{"n":2}'), replyTo: 'replies' }));
    await world.run(() => 0);
    assert.equal(world.record('s')?.state, 'succeeded');
    assert.equal(world.record('s')?.queue, 'standard');
    assert.equal(world.bus.letters('bulk', 0, 10).length, 1);
    assert.equal(world.bus.all('replies').length, 0);
  });

  test('when its job was removed: nothing is told of it', async () => {
    const type = typeOf(async () => 1, { keep: '1h' });
    const world = new World([type]);
    const { record } = await submit(world.app(), type.with({ n: 1 }));
    await world.run(() => 0);
    world.now += 10_800_000;
    for (let n = 0; n < 3; n++, world.now += 3_600_000) await world.removeExpired(true);
    assert.equal(world.stores.tombstones.get(record.id)?.state, 'succeeded');
    world.bus.send(sent(record.id, { replyTo: 'replies' }));
    await world.run(() => 0);
    assert.equal(world.bus.all('replies').length, 0);
  });
});

test('a stranger is answered in a reply queue only', async () => {
  const world = new World([typeOf(async () => 1)]);
  world.bus.send(sent('a', { replyTo: 'urgent' }));
  world.bus.send(sent('b', { replyTo: 'replies' }));
  await world.run(() => 0);
  assert.equal(world.bus.all('urgent').length, 0);
  assert.equal(world.bus.all('replies').length, 1);
  assert.equal(world.record('a')?.state, 'succeeded');
});

test('an id with line breaks, and texts beyond their bounds, are refused', async () => {
  const world = new World([typeOf(async () => 1)]);
  world.bus.send(sent('a\nid: b'));
  world.bus.send(sent('long', { properties: { type: 'test', requestedBy: 'x'.repeat(257) } }));
  world.bus.send(sent('type', { properties: { type: 't'.repeat(101) } }));
  world.bus.send(sent('lines', { properties: { type: 'test\nother' } }));
  await world.run(() => 0);
  assert.deepEqual(world.records, []);
});
