/** Requests and their answers: many on one link, and links of one name. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import rhea from 'rhea';
import { type Broker, start } from '#service-bus/start.js';

let broker: Broker;
let client: ServiceBusClient;
before(async () => {
  broker = await start({ queues: [{ name: 'standard' }] });
  client = new ServiceBusClient(broker.connectionString);
});
after(async () => {
  await client?.close();
  await broker?.close();
});

// More than the 2,048 deliveries that rhea keeps for a session.
test('thousands of requests on one management link are answered', async () => {
  const receiver = client.createReceiver('standard');
  for (let from = 0; from < 2_300; from += 100)
    await Promise.all(Array.from({ length: 100 }, () => receiver.peekMessages(1)));
});

test('of links of one name the one beside the request gets the answer', async () => {
  const { port } = new URL(broker.connectionString.replace(/^Endpoint=sb(.*?);.*$/, 'http$1'));
  const connection = rhea.create_container().connect({
    ...{ host: '127.0.0.1', port: Number(port), reconnect: false, username: 'any' },
  });
  const open = async () => {
    const session = connection.create_session();
    session.begin();
    const receiver = session.attach_receiver({ name: 'same', source: { address: '$cbs' } });
    const sender = session.attach_sender({ target: { address: '$cbs' } });
    await once(sender, 'sendable');
    return { receiver, sender };
  };
  try {
    const pairs = [await open(), await open(), await open()];
    for (const [n, { receiver, sender }] of [...pairs.entries(), ...pairs.entries()]) {
      const heard = Promise.race(
        pairs.map(async (pair, at) => {
          const [{ message }] = await once(pair.receiver, 'message');
          return [at, message.correlation_id];
        }),
      );
      sender.send({
        ...{ message_id: `of ${n}`, reply_to: receiver.name, body: 'a token' },
        application_properties: { operation: 'put-token', type: 'any', name: 'any' },
      });
      assert.deepEqual(await heard, [n, `of ${n}`]);
    }
  } finally {
    connection.close();
  }
});
