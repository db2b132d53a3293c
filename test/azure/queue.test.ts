/** Senders of queues that others name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceBusClient } from '@azure/service-bus';
import { createClients } from '#longhaul/azure/clients.js';
import { createQueue } from '#longhaul/azure/queue.js';
import type { Settings } from '#longhaul/settings.js';
import { brokerProcess } from '../support/broker.ts';
import { startProxy } from '../support/proxy.ts';

test('senders are not kept for each queue that somebody names for a reply', async () => {
  const open = new Set<string>();
  let made = 0;
  const client = {
    createSender(queue: string) {
      made++;
      open.add(queue);
      return {
        sendMessages: async () => undefined,
        close: async () => void open.delete(queue),
      };
    },
  } as unknown as ServiceBusClient;
  const queue = createQueue(client);
  const send = (name: string) =>
    queue.send({
      ...{ queue: name, messageId: 'x', contentType: 'application/json' },
      ...{ body: Buffer.from('{}'), properties: {} },
    });
  for (let n = 0; n < 500; n++) await Promise.all([send('standard'), send(`foreign-${n}`)]);
  assert.ok(open.size <= 64, `${open.size} are open`);
  assert.ok(open.has('standard') && made === 501, 'the one that is used stays');
  // None is closed while it sends.
  await Promise.all(Array.from({ length: 200 }, (_, n) => send(`at-once-${n}`)));
});

test('a send that was under way when the connection broke goes again, and nobody waits a minute', async (t) => {
  const broker = await brokerProcess({
    queues: [{ name: 'q', requiresDuplicateDetection: true }],
  });
  t.after(() => broker.remove());
  const proxy = await startProxy(broker.port);
  t.after(() => proxy.close());
  const serviceBus = createClients({
    buses: new Map(),
    ServiceBus: broker.connectionString.replace(`:${broker.port}`, `:${proxy.port}`),
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
  } as unknown as Settings).serviceBus();
  t.after(() => serviceBus.close());
  const queue = createQueue(serviceBus);
  const send = (messageId: string) =>
    queue.send({
      ...{ queue: 'q', messageId, contentType: 'application/json' },
      ...{ body: Buffer.from('{}'), properties: {} },
    });
  await send('before');
  const inVain = proxy.hush();
  const began = Date.now();
  const sent = send('during');
  await inVain;
  proxy.cut();
  await sent;
  assert.ok(Date.now() - began < 20_000, `${Date.now() - began} ms`);
  const receiver = serviceBus.createReceiver('q', { receiveMode: 'receiveAndDelete' });
  const found = await receiver.receiveMessages(10, { maxWaitTimeInMs: 2_000 });
  assert.deepEqual(
    found.map(({ messageId }) => messageId),
    ['before', 'during'],
  );
});
