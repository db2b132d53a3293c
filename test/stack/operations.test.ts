/** What happens to jobs when workers die, stop or give up; each test with a stack of its own. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

test('a job whose message somebody buries is told as failed, with a reply; its message stays', async () => {
  // The worker is off, so that the test can take the message.
  const stack = await testStack({
    settings: { LANES: 'standard', 'AzureWebJobs.work-standard.Disabled': 'true' },
  });
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const client = createClient(stack.url);
    const { id } = await client.submit('test.echo', { value: 1 }, { replyTo: 'replies' });
    const receiver = bus.createReceiver('standard');
    for (const message of await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 }))
      await receiver.deadLetterMessage(message, {
        deadLetterReason: 'Unwanted',
        deadLetterErrorDescription: 'by hand',
      });
    const ended = await client.ended(id);
    assert.equal(ended.state, 'failed');
    assert.deepEqual(
      [ended.error?.name, ended.error?.code],
      ['Unwanted', 'delivery_limit_exceeded'],
    );
    const [reply] = await bus
      .createReceiver('replies')
      .receiveMessages(1, { maxWaitTimeInMs: 5000 });
    assert.equal(reply?.correlationId, id);
    assert.match(JSON.stringify(reply?.body), /"type":"longhaul.job.failed"/);
    const letters = bus.createReceiver('standard', { subQueueType: 'deadLetter' });
    const [letter] = await letters.receiveMessages(1, { maxWaitTimeInMs: 5000 });
    assert.equal(letter?.messageId, id);
  } finally {
    await bus.close();
    await stack.remove();
  }
});

test('a job whose message was handed over too often is put back', async () => {
  const stack = await testStack({
    settings: { LANES: 'standard', 'AzureWebJobs.work-standard.Disabled': 'true' },
  });
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const client = createClient(stack.url);
    const { id } = await client.submit('test.echo', { value: 1 });
    const receiver = bus.createReceiver('standard');
    const topology = JSON.parse(await readFile(join(stack.options.root, 'topology.json'), 'utf8'));
    const { queues } = topology as { queues: { name: string; maxDeliveryCount: number }[] };
    const { maxDeliveryCount = 0 } = queues.find(({ name }) => name === 'standard') ?? {};
    for (let delivery = 0; delivery < maxDeliveryCount; delivery++)
      for (const message of await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 }))
        await receiver.abandonMessage(message);
    // In a minute it is there again, as the job's next turn, beside what schedules sent ahead.
    const back = await until('a message for later', async () =>
      (await receiver.peekMessages(10)).find(
        ({ state, applicationProperties }) =>
          state === 'scheduled' && applicationProperties?.['job'] === id,
      ),
    );
    assert.deepEqual(back.body, { value: 1 });
    const { state, runAt } = await client.get(id);
    assert.equal(state, 'queued');
    assert.ok(Date.parse(String(runAt)) > Date.now() + 30_000);
  } finally {
    await bus.close();
    await stack.remove();
  }
});

test('at shutdown a running job is handed back and goes on from its checkpoint', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-stop-'));
  const log = join(folder, 'steps');
  const steps = 30;
  const read = async () =>
    (await readFile(log, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const first = await testStack({
    data: join(folder, 'data'),
    settings: { SHUTDOWN_GRACE_MS: '300' },
  });
  const { id } = await createClient(first.url).submit('test.counting', { log, steps, ms: 100 });
  await until('some steps', async () => (await read()).length > 5);
  const began = Date.now();
  await first.stop();
  assert.ok(Date.now() - began < 10_000, 'the stop waited for the job');
  const second = await testStack(first.options);
  try {
    const ended = await createClient(second.url).ended(id);
    assert.deepEqual(ended.result, { total: steps, chosen: id });
    // Handed back by the worker, not found by the lock's expiry: the same attempt goes on.
    assert.equal(ended.attempt, 1);
    const repeated = (await read()).length - steps - 1;
    assert.ok(repeated <= 1, `${repeated} steps were done again`);
  } finally {
    await second.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
