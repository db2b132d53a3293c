/** On the wire: links and sessions that close while the broker still has something for them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import rhea from 'rhea';
import { type Broker, start } from '#service-bus/start.js';
import { until } from '../support/until.ts';
import { attach, code, credit, frame, hello, wire } from '../support/wire.ts';

const { types } = rhea;
let broker: Broker;
before(async () => {
  broker = await start({ queues: [{ name: 'q' }] });
});
after(() => broker?.close());

const detach = (handle: number) => frame(code.detach, [types.wrap_uint(handle), true]);

test('a frame that comes after the end of its session does not cost the connection', async () => {
  const { socket, heard, hear, say } = await wire(broker.port);
  say(hello(), attach(0, 'q', true));
  await hear(code.attach);
  say(frame(code.end, []));
  await hear(code.end);
  say(detach(0), frame(code.begin, [null, ...[0, 2048, 2048].map((n) => types.wrap_uint(n))]));
  await until('the second begin', () => heard.filter((it) => it.code === code.begin).length === 2);
  socket.destroy();
});

test('a link that closes with messages not yet written holds up no other of its session', async () => {
  const client = new ServiceBusClient(broker.connectionString);
  await client.createSender('q').sendMessages(Array.from({ length: 10 }, (_, body) => ({ body })));
  await client.close();
  const { socket, heard } = await wire(broker.port);
  socket.write(Buffer.concat([hello(), attach(0, 'q', true)]));
  await until('the link', () => heard.some((it) => it.code === code.attach));
  // In one piece: the broker hands over and is told of the end before it has written.
  socket.write(Buffer.concat([credit(0, 5), detach(0), attach(1, 'q', true)]));
  await until('the other', () => heard.filter((it) => it.code === code.attach).length === 2);
  socket.write(credit(1, 5));
  const transfers = await until('five messages', () => {
    const found = heard.filter((it) => it.code === code.transfer);
    return found.length >= 5 && found;
  });
  const ids = transfers.map(({ fields }) => Number(fields[1]));
  assert.deepEqual(ids, [...ids.keys()]);
  socket.destroy();
});
