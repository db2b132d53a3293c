/** A job's input stays with its record, and is shown as its type says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob, type JobPolicy } from '#longhaul/define/define-job.js';
import { shownInput } from '#longhaul/record/kept-input.js';
import { World } from './world/world.ts';

type Input = { card: { number: string; name: string }; rows: string[]; fails: number };

const given: Input = { card: { number: '4111', name: 'Ada' }, rows: ['a', 'b'], fails: 0 };

/** A job that fails for good in its first so many attempts; what it was given, and what is told of it. */
async function worldOf(policy: JobPolicy<Input>, input: Input = given, waits = false) {
  const seen: Input[] = [];
  const type = defineJob({
    type: 'pay',
    input: z.object({
      card: z.object({ number: z.string(), name: z.string() }),
      rows: z.array(z.string()),
      fails: z.number(),
    }),
    ...policy,
    attempts: 1,
    async run(read, job) {
      seen.push(read);
      if (waits) await job.sleep('1h');
      if (job.attempt <= read.fails) throw new Error('No');
      return { rows: read.rows.length };
    },
  });
  const world = new World([type]);
  const app = world.app();
  const { record } = await submit(app, type.with(input));
  const now = () => world.record(record.id) ?? assert.fail();
  return {
    ...{ world, app, seen, now, id: record.id },
    rest: () => world.run(() => 0),
    shown: () => shownInput(app.blobs, now(), app.types.find('pay')),
  };
}

const noInput = { code: 'no_input', status: 404 };

test('the input is there as long as the record, in every state, and costs no call of storage', async () => {
  const one = await worldOf({});
  assert.deepEqual(await one.shown(), given);
  await one.rest();
  assert.equal(one.now().state, 'succeeded');
  assert.deepEqual(await one.shown(), given);
  assert.deepEqual([...one.world.stores.blobs.keys()], []);
});

test('an input that no message holds is shown from the blob that the message names', async () => {
  const large = { ...given, rows: Array.from({ length: 20_000 }, (_, n) => `row ${n}`) };
  const one = await worldOf({}, large);
  const before = [...one.world.stores.blobs.keys()];
  await one.rest();
  assert.deepEqual(await one.shown(), large);
  assert.deepEqual([...one.world.stores.blobs.keys()], before, 'there is no other');
});

test('what is hidden is hidden from whoever looks, and not from the job', async () => {
  const redact = ['/card/number', '/rows/1', '/none/at/all'];
  const one = await worldOf({ redact }, { ...given, fails: 1 });
  await one.rest();
  await retry(one.app, one.id);
  await one.rest();
  assert.deepEqual(
    one.seen.map(({ card }) => card.number),
    ['4111', '4111'],
  );
  assert.deepEqual(await one.shown(), {
    ...{ card: { number: '[redacted]', name: 'Ada' }, rows: ['a', '[redacted]'], fails: 1 },
  });
});

test('of a type that is gone nobody knows what is hidden, so nothing is shown', async () => {
  const { app, now } = await worldOf({});
  await assert.rejects(shownInput(app.blobs, now(), undefined), noInput);
});

test('keepInput: false keeps none, but while the job may need it', async () => {
  const rows = Array.from({ length: 20_000 }, (_, n) => `row ${n}`);
  for (const input of [given, { ...given, rows }]) {
    const one = await worldOf({ keepInput: false }, { ...input, fails: 1 }, true);
    await assert.rejects(one.shown(), noInput);
    await one.rest();
    assert.equal(one.now().state, 'failed');
    await assert.rejects(one.shown(), noInput);
    await retry(one.app, one.id);
    await one.rest();
    assert.deepEqual([one.now().state, one.now().input], ['succeeded', undefined]);
    assert.equal(one.seen.at(-1)?.card.number, '4111');
    assert.deepEqual([...one.world.stores.blobs.keys()], []);
  }
});

test('a record of a version before, which kept no input, gets it from its message', async () => {
  const one = await worldOf({});
  const { input: _, ...before } = one.now();
  one.world.change(before);
  await assert.rejects(one.shown(), noInput);
  await one.rest();
  assert.deepEqual(await one.shown(), given);
});

test('a record names a blob of another job: nothing of it is shown', async () => {
  const one = await worldOf({});
  one.world.change({ ...one.now(), input: { blob: 'jobs/another/input.json' } });
  await assert.rejects(one.shown(), noInput);
});

test('what is no JSON Pointer is refused when the app starts', async () => {
  await assert.rejects(worldOf({ redact: ['card.number'] }), /redact: 'card.number' is no JSON Po/);
});
