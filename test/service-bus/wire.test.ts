/** What Proton and other clients put on the wire that the JavaScript SDK does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { start } from '../../local/service-bus/start.ts';
import { plainConnection } from '../support/plain.ts';

test('two links of one name, one each way, and credit in one write with the attach', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  const client = new ServiceBusClient(broker.connectionString);
  const connection = plainConnection(broker.port);
  try {
    await client.createSender('q').sendMessages([{ body: 1 }, { body: 2 }]);
    const received = await new Promise<unknown[]>((resolve, reject) => {
      const bodies: unknown[] = [];
      connection.on('disconnected', ({ error }) => reject(error ?? new Error('disconnected')));
      const sender = connection.open_sender({ target: 'q', name: 'same' });
      const { links } = sender.session as unknown as { links: Record<string, unknown> };
      sender.once('sendable', () => {
        // Or rhea, too, would take the second for the first.
        delete links['same'];
        const receiver = connection.open_receiver({ source: 'q', name: 'same', credit_window: 5 });
        receiver.on('message', ({ message }) => {
          bodies.push(message?.body);
          if (bodies.length === 2) sender.send({ body: 3 });
          if (bodies.length === 3) resolve(bodies);
        });
      });
    });
    assert.equal(received.length, 3);
  } finally {
    connection.removeAllListeners('disconnected');
    connection.on('disconnected', () => undefined);
    connection.close();
    await client.close();
    await broker.close();
  }
});

test('a receiver that stopped waiting has no credit left: the next message is another one', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  const client = new ServiceBusClient(broker.connectionString);
  try {
    const [first, second] = [client.createReceiver('q'), client.createReceiver('q')];
    // Both ask for more than there is, and give their credit back.
    for (const receiver of [first, second])
      assert.equal((await receiver.receiveMessages(5, { maxWaitTimeInMs: 200 })).length, 0);
    await client.createSender('q').sendMessages({ body: 'free' });
    const [message] = await second.receiveMessages(1, { maxWaitTimeInMs: 2000 });
    assert.equal(message?.body, 'free', 'it went to the one that waits for nothing');
    assert.equal(message?.deliveryCount, 0);
  } finally {
    await client.close();
    await broker.close();
  }
});

test('a client that wants a sign of life every second gets one', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  // rhea hangs up after twice that.
  const connection = plainConnection(broker.port, { idle_time_out: 500 });
  let ended = false;
  connection.on('disconnected', () => {
    ended = true;
  });
  await new Promise((resolve) => connection.once('connection_open', resolve));
  await pause(2500);
  assert.equal(ended, false);
  connection.close();
  await broker.close();
});
