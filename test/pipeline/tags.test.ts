/** Tags: of a type and of a request, on record whichever way the job came. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob, type JobPolicy } from '#longhaul/define/define-job.js';
import { fromMessage, toMessage } from '#longhaul/model/message.js';
import { World } from './world/world.ts';

const typeWith = (policy: JobPolicy<{ city: string }>) =>
  defineJob({
    type: 'ship',
    input: z.object({ city: z.string() }),
    ...policy,
    async run() {
      return {};
    },
  });

const byCity = typeWith({ tags: ({ city }) => ['shipping', city] });

async function tagsOf(type: typeof byCity, tags?: string[]): Promise<string[] | undefined> {
  const world = new World([type]);
  const request = type.with({ city: 'Delft' }, tags ? { tags } : {});
  const { record } = await submit(world.app(), request);
  // A worker that is faster than the record makes it from the message.
  world.stores.records.delete(record.id);
  await world.run(() => 0);
  assert.deepEqual(world.record(record.id)?.tags, record.tags);
  return record.tags;
}

test('those of the type and those of the request are one list, each once', async () => {
  assert.deepEqual(await tagsOf(byCity, ['Delft', 'late']), ['shipping', 'Delft', 'late']);
  assert.deepEqual(await tagsOf(typeWith({ tags: ['a'] })), ['a']);
  assert.equal(await tagsOf(typeWith({})), undefined);
});

test('what is no tag, or too many, is refused', async () => {
  for (const tags of [['a,b'], [''], [' a'], ['x'.repeat(65)], ['a\n'], Array.from('abcdefghijk')])
    await assert.rejects(tagsOf(byCity, tags), { code: 'bad_request' }, tags.join());
  assert.equal((await tagsOf(byCity, ['\u{1F600}'.repeat(64)]))?.length, 3);
  await assert.rejects(tagsOf(typeWith({ tags: ['a,b'] })), /tags: give 10 at most/);
});

test("a message that somebody sent straight to a lane has those that it names, and its type's", async () => {
  for (const [type, expected] of [
    [byCity, ['shipping', 'Delft', 'mine', 'own']],
    [typeWith({}), ['mine', 'own']],
  ] as const) {
    const world = new World([type]);
    world.bus.send({
      ...{ queue: 'standard', messageId: 'theirs', contentType: 'application/json' },
      body: Buffer.from('{"city":"Delft"}'),
      properties: { type: 'ship', tags: `mine, own,,${'x'.repeat(70)}` },
    });
    await world.run(() => 0);
    assert.deepEqual(world.record('theirs')?.tags, expected);
  }
});

test('a message carries them', () => {
  const job = { id: 'i', type: 't', attempt: 1, turn: 1, queue: 'q', contentType: '' };
  const sent = toMessage({ ...job, body: Buffer.alloc(0), tags: ['a b', 'é'] });
  assert.deepEqual(fromMessage(sent).tags, ['a b', 'é']);
});
