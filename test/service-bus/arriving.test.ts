/** A message goes to nobody before the store has it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { brokerProcess } from '../support/broker.ts';

test('what a receiver was given is there after the broker was killed, also when its sender heard nothing', async (t) => {
  const names = Array.from({ length: 8 }, (_, n) => `q${n}`);
  const queues = names.map((name) => ({ name }));
  const broker = await brokerProcess({ queues }, { durable: true });
  t.after(() => broker.remove());
  for (const name of names) {
    const client = new ServiceBusClient(broker.connectionString, {
      retryOptions: { maxRetries: 0 },
    });
    const receiver = client.createReceiver(name);
    const received = receiver.receiveMessages(1, { maxWaitTimeInMs: 10_000 });
    const sent = client.createSender(name).sendMessages({ body: 'x', messageId: name });
    const heard = sent.catch(() => undefined);
    const [message] = await received;
    await broker.kill();
    await broker.restart();
    await client.close().catch(() => undefined);
    const after = new ServiceBusClient(broker.connectionString);
    const [found] = await after.createReceiver(name).peekMessages(1);
    assert.equal(found?.messageId, message?.messageId);
    await after.close();
    void heard;
  }
});
