/** The watch of what the broker gave up on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobContentType } from '#longhaul/model/message.js';
import type { DeadLetter } from '#longhaul/ports.js';
import { watchDeadLetters } from '#longhaul/run/dead-letters.js';
import { typeOf } from './world/one-job.ts';
import { World } from './world/world.ts';

const letter = (sequence: number, messageId: string, more: object = {}): DeadLetter => ({
  sequence,
  message: {
    ...{ queue: 'standard', messageId, contentType: 'application/json' },
    body: Buffer.from('{}'),
    properties: { type: 'test' },
    ...more,
  },
  reason: 'TTLExpiredException',
  description: 'nobody took it',
});

function watched(...letters: DeadLetter[]) {
  const world = new World([typeOf(async () => 1)]);
  const peeks: number[] = [];
  const app = world.app();
  app.queue.peekDeadLetters = async (_, after, limit) => {
    peeks.push(after);
    return letters.filter(({ sequence }) => sequence > after).slice(0, limit);
  };
  return { world, app, peeks, letters, look: () => watchDeadLetters(app, 'standard') };
}

const states = ({ records }: World) => records.map(({ id, state }) => `${id} ${state}`).sort();

test('a letter whose body is no JSON is told as failed, and so is the one behind it', async () => {
  const bad = { contentType: blobContentType, body: Buffer.from('{ no JSON') };
  const { world, look } = watched(letter(1, 'bad', bad), letter(2, 'good'));
  assert.equal(await look(), 2);
  assert.deepEqual(states(world), ['bad failed', 'good failed']);
});

test('a letter that nothing can be made of is passed by after some looks, others are not held up', async () => {
  const { world, app, look } = watched(letter(1, 'poison'), letter(2, 'good'));
  const { write } = app.records;
  app.records.write = (record, etag) =>
    record.id === 'poison' ? Promise.reject(new Error('400')) : write(record, etag);
  // The tries of a write pass at once.
  app.clock.after = (_, run) => {
    setImmediate(run);
    return () => undefined;
  };
  let failed = 0;
  for (let n = 0; n < 25 && world.records.length === 0; n++) await look().catch(() => failed++);
  assert.deepEqual(states(world), ['good failed']);
  assert.equal(failed, 19);
});

test('storage that is out of reach for a look loses no letter', async () => {
  const { world, app, look } = watched(letter(1, 'one'), letter(2, 'two'));
  const { read } = app.records;
  app.records.read = () => Promise.reject(new Error('ECONNREFUSED'));
  await assert.rejects(look());
  app.records.read = read;
  assert.equal(await look(), 2);
  assert.deepEqual(states(world), ['one failed', 'two failed']);
});

test('a letter with a number below the last is found within the hour', async () => {
  const { world, letters, look } = watched(letter(500, 'high'));
  await look();
  letters.unshift(letter(3, 'low'));
  assert.equal(await look(), 0, 'not at each look');
  world.now += 3_600_000;
  assert.equal(await look(), 1);
  assert.deepEqual(states(world), ['high failed', 'low failed']);
});
