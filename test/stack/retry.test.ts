/** A failed job is started again, through the whole stack. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient, type Problem } from '../support/client.ts';
import { testStack } from '../support/stack.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack.remove());

const retry = (id: string) => client.call(`/jobs/${id}/retry`, { method: 'POST' });

// In the message, and in a blob beside it.
for (const length of [10, 60_000, 200_000])
  test(`a failed job with an input of ${length} characters goes on from its checkpoint`, async () => {
    const log = join(stack.options.data, `retry-${length}.log`);
    const fixed = join(stack.options.data, `fixed-${length}`);
    const input = { log, fixed, text: 'x'.repeat(length) };
    const { id } = await client.submit('test.mended', input);
    const failed = await client.ended(id);
    assert.equal(failed.state, 'failed');
    assert.equal(failed.attempt, 2);
    assert.equal(failed.links['retry'], `/api/jobs/${id}/retry`);

    // All its attempts again, in vain …
    assert.equal((await retry(id)).status, 202);
    const again = await client.ended(id);
    assert.equal(again.state, 'failed');
    assert.equal(again.attempt, 4);
    assert.equal((again['history'] as unknown[]).length, 4);

    // … and then with the cause removed.
    await writeFile(fixed, '');
    assert.equal((await retry(id)).status, 202);
    const ended = await client.ended(id);
    assert.equal(ended.state, 'succeeded');
    assert.deepEqual(ended.result, { attempt: 5, length });
    const steps = (await readFile(log, 'utf8')).trim().split('\n');
    assert.equal(steps.length, 1, 'the step that was kept is not done again');
  });

test('only a failed job can be started again', async () => {
  const { id } = await client.submit('test.echo', { value: 1 });
  await client.ended(id);
  const refused = await retry(id);
  assert.equal(refused.status, 409);
  assert.equal(((await refused.json()) as Problem).code, 'job_not_failed');
  assert.equal((await retry('nothing')).status, 404);
});

test('a failed job is not started beside the equal one that came after it', async () => {
  const log = join(stack.options.data, 'equal.log');
  const type = 'test.unique-finished';
  const first = await client.submit(type, { log, ms: 0, of: { fails: true } });
  assert.equal((await client.ended(first.id)).state, 'failed');
  const second = await client.submit(type, { log, ms: 600_000, of: { fails: true } });
  assert.notEqual(second.id, first.id);
  const refused = await retry(first.id);
  assert.equal(refused.status, 409);
  assert.equal(((await refused.json()) as Problem).code, 'equal_job');
});
