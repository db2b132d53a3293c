/** Senders of queues that others name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceBusClient } from '@azure/service-bus';
import { createQueue } from '../../functions/azure/queue.ts';

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
