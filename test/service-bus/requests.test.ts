/** Requests on one link, more than the 2,048 deliveries that rhea keeps for a session. */
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { type Broker, start } from '../../local/service-bus/start.ts';

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

test('thousands of requests on one management link are answered', async () => {
  const receiver = client.createReceiver('standard');
  for (let from = 0; from < 2_300; from += 100)
    await Promise.all(Array.from({ length: 100 }, () => receiver.peekMessages(1)));
});
