import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
before(async () => {
  stack = await testStack();
});
after(() => stack.remove());

async function simulate(input: Record<string, number>) {
  const client = createClient(stack.url);
  const response = await client.post({ type: 'simulation', input });
  const { id } = (await response.json()) as { id: string };
  await until('it waits for Batch', async () => (await client.get(id)).state === 'waiting');
  const told = await client.call(`/jobs/${id}/events/finished`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  assert.equal(told.status, 202);
  return until('its end', async () => {
    const status = await client.get(id);
    return 'finishedAt' in status && status;
  });
}

test('a job hands its work to Batch, waits by event, and looks up what came of it', async () => {
  const ended = await simulate({ parts: 250 });
  assert.equal(ended.state, 'succeeded', JSON.stringify(ended));
  assert.deepEqual(ended.result, { parts: 250, batchJob: `longhaul-${ended.id}` });
});

test('a part that failed fails the job, whatever the event said, and its Batch job is removed', async () => {
  const ended = await simulate({ parts: 3, seed: 13 });
  assert.equal(ended.state, 'failed');
  assert.match(ended.error?.message ?? '', /2 of 3 parts succeeded, 1 failed/);
  assert.deepEqual(
    (ended['undone'] as { step: string }[]).map(({ step }) => step),
    ['submit'],
  );
});
