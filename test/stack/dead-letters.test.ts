/** Dead letters are found, grouped, sent on at a pace while workers die, and dropped with a reason. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { connect } from '#longhaul/client/http.js';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letters-'));
  stack = await testStack({ settings: { LANES: 'standard' } });
});
after(async () => {
  await stack.remove();
  await rm(folder, { recursive: true });
});

const failed = async (count: number, file: string) => {
  const client = createClient(stack.url);
  const submits = Array.from({ length: count }, () =>
    client.submit('test.mended', { log: join(folder, 'log'), fixed: file }),
  );
  const ids = (await Promise.all(submits)).map(({ id }) => id);
  for (const id of ids) assert.equal((await client.ended(id)).state, 'failed');
  return ids;
};

test('what failed is grouped, and sent on once its cause is mended', async () => {
  const { deadLetters } = connect({ url: stack.url });
  const file = join(folder, 'mended');
  const ids = await failed(60, file);
  const group = await until('all letters are seen', async () =>
    (await deadLetters.groups({ lane: 'standard' })).find(({ count }) => count === 60),
  );
  assert.equal(group.type, 'test.mended');
  const { letters, cursor } = await deadLetters.list({ type: 'test.mended', limit: 50 });
  assert.equal(letters.length, 50);
  const rest = await deadLetters.list({ type: 'test.mended', cursor: cursor ?? '' });
  const listed = [...letters, ...rest.letters].map((one) => one.job?.id);
  assert.deepEqual(listed.toSorted(), ids.toSorted());
  assert.equal(letters[0]?.job?.state, 'failed');
  await writeFile(file, 'yes');
  const began = Date.now();
  const { id } = await deadLetters.redrive({ type: 'test.mended', pace: 20, by: 'ada' });
  const client = createClient(stack.url);
  for (const one of ids)
    await until('it has succeeded', async () => (await client.get(one)).state === 'succeeded');
  assert.ok(Date.now() - began >= 2_900, 'sixty at twenty a second');
  const told = (await client.ended(id)).result;
  assert.deepEqual(told, { sent: 60, dropped: 0, left: 0, refused: [] });
  assert.deepEqual(await deadLetters.groups({ lane: 'standard' }), []);
});

test('chosen ones are dropped, with a reason; the others stay', async () => {
  const { deadLetters } = connect({ url: stack.url });
  const [, second] = await failed(3, join(folder, 'never'));
  const { letters } = await deadLetters.list({ queue: 'standard' });
  const chosen = letters.find(({ job }) => job?.id === second);
  const dropped = { queue: 'standard', sequences: [chosen?.sequence ?? 0], why: 'asked for twice' };
  const { id } = await deadLetters.discard(dropped);
  const client = createClient(stack.url);
  assert.deepEqual((await client.ended(id)).result, { sent: 0, dropped: 1, left: 0, refused: [] });
  const left = await deadLetters.list({ queue: 'standard' });
  assert.equal(left.letters.length, 2);
  assert.ok(!left.letters.some(({ job }) => job?.id === second));
  assert.equal((await client.get(second ?? '')).state, 'failed');
});

test('what was no job is submitted like any request, or left and told', async () => {
  const { deadLetters } = connect({ url: stack.url });
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const send = (body: string, type: string) =>
      bus.createSender('standard').sendMessages({
        ...{ body: Buffer.from(body), contentType: 'application/json', messageId: `${type}:1` },
        applicationProperties: { type },
      });
    // An id of this form is one of the app's own: refused, and no job is made of it.
    await send('{"value":7}', 'ztms9cz003zzzt76rz4k23r3');
    const seen = await until('the letter', async () =>
      (await deadLetters.list()).letters.find(({ body }) => body === '{"value":7}'),
    );
    assert.equal(seen.job, undefined);
    const { id } = await deadLetters.redrive({ queue: seen.queue, sequences: [seen.sequence] });
    const { result } = await createClient(stack.url).ended(id);
    const { left, refused } = result as { left: number; refused: string[] };
    assert.equal(left, 1);
    assert.match(refused[0] ?? '', /There is no job type/);
  } finally {
    await bus.close();
  }
});

test('what is asked wrongly is told, and only the app starts its own types', async () => {
  const ask = async (path: string, body: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const sent = { method: 'POST', headers, body: JSON.stringify(body) };
    const answer = await fetch(`${stack.url}/api/${path}`, sent);
    return [answer.status, ((await answer.json()) as { code?: string }).code];
  };
  assert.deepEqual(await ask('dead-letters/redrive', { lane: 'none' }), [422, 'unknown_lane']);
  assert.deepEqual(await ask('dead-letters/redrive', { sequences: [1] }), [400, 'bad_request']);
  assert.deepEqual(await ask('dead-letters/discard', {}), [400, 'bad_request']);
  assert.deepEqual(await ask('dead-letters/redrive', { dryRun: true, lane: 'bulk' }), [
    200,
    undefined,
  ]);
  const own = { type: 'longhaul.redrive', input: { do: 'discard', filter: {}, pace: 1 } };
  assert.deepEqual(await ask('jobs', own), [422, 'unknown_job_type']);
});
