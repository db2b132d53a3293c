/**
 * The app that asks, over Service Bus: of the other it imports a type, and no code. The answer comes to
 * a reply session of this process, by its correlation id.
 *
 *     node dist/examples/request-reply/asks.js CONNECTION_STRING book 3
 */
import { ServiceBusClient } from '@azure/service-bus';
import { connectBus } from 'longhaul/client/bus';
import type { quote } from './answers.ts';

const [connection = '', item = 'book', count = '1'] = process.argv.slice(2);
const client = new ServiceBusClient(connection);
const shop = connectBus<readonly [typeof quote]>({ client, lane: 'urgent' });
try {
  const { known, euros } = await shop.call(
    'shop.quote',
    { item, count: Number(count) },
    { timeout: '20s' },
  );
  process.stdout.write(known ? `${count} × ${item}: ${euros} euros\n` : `No ${item} here.\n`);
} finally {
  await shop.close();
  await client.close();
}
