/** What is believed of a message that the app did not send. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSeal } from '../../functions/azure/seal.ts';
import { fromMessage, type IncomingMessage, toMessage } from '../../functions/model/message.ts';
import { submit } from '../../functions/pipeline/submit.ts';
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
    assert.equal(runs, 2, 'it ran as a job of its own');
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
  await world.run(() => 0);
  assert.deepEqual(world.records, []);
});
