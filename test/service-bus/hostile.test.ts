/** Clients that mean ill or know no better: the broker stays up, and serves the others. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { brokerProcess } from '../support/broker.ts';
import { plainConnection } from '../support/plain.ts';
import { fc } from '../support/properties.ts';
import { until } from '../support/until.ts';

let broker: Awaited<ReturnType<typeof brokerProcess>>;
let port: number;

before(async () => {
  broker = await brokerProcess({ queues: [{ name: 'q' }, { name: 'big' }, { name: 'held' }] });
  port = broker.port;
});
after(() => broker.remove());

/** Another client is served all the while. */
async function stillServes(): Promise<void> {
  assert.ok(broker.isUp, 'the broker died');
  const client = new ServiceBusClient(broker.connectionString);
  try {
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'fine' });
    const receiver = client.createReceiver('q', { receiveMode: 'receiveAndDelete' });
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 });
    assert.equal(message?.body, 'fine');
  } finally {
    await client.close();
  }
}

const opened = async (): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
};

/** Writes, and waits until the broker hangs up or has had time to. */
async function throwAt(bytes: Uint8Array): Promise<void> {
  const socket = await opened();
  socket.resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  socket.end();
  await closed;
}

const amqp = Buffer.from('AMQP\x03\x01\x00\x00AMQP\x00\x01\x00\x00', 'latin1');

test('random bytes, with and without the head of the protocol', async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom(0, 8, 16), async (noise, head) => {
      await throwAt(Buffer.concat([amqp.subarray(0, head), noise]));
    }),
    { numRuns: 150 },
  );
  await stillServes();
});

test('frames that are cut off, of no size, and of giant size', async () => {
  const frame = (size: number, rest: number[] = []) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(size);
    head[4] = 2;
    return Buffer.concat([amqp, head, Buffer.from(rest)]);
  };
  for (const size of [0, 1, 7, 8, 9, 100, 65_537, 2 ** 31, 2 ** 32 - 1])
    await throwAt(frame(size, [0x00, 0x53, 0x10, 0xc0]));
  const giant = await opened();
  giant.resume();
  giant.write(frame(2 ** 32 - 1));
  const before = broker.memory();
  const noise = Buffer.alloc(1024 * 1024);
  for (let n = 0; n < 64 && !giant.destroyed; n++)
    await new Promise((resolve) => giant.write(noise, resolve));
  giant.destroy();
  await stillServes();
  assert.ok(broker.memory() - before < 48 * 1024 * 1024, 'it gathered the giant frame');
});

async function plain() {
  const connection = plainConnection(port);
  for (const name of ['disconnected', 'connection_error', 'sender_error', 'receiver_error'])
    connection.on(name, () => undefined);
  await new Promise((resolve) => connection.once('connection_open', resolve));
  return connection;
}

test('a message without end is refused when it ends, and not kept meanwhile', async () => {
  const connection = await plain();
  const sender = connection.open_sender('big');
  await new Promise((resolve) => sender.once('sendable', resolve));
  const before = broker.memory();
  const refused = new Promise<{ condition?: string } | undefined>((resolve) => {
    sender.on('rejected', ({ delivery }) =>
      resolve((delivery?.remote_state as { error?: { condition?: string } })?.error),
    );
  });
  sender.send({ body: Buffer.alloc(96 * 1024 * 1024) });
  assert.equal((await refused)?.condition, 'amqp:link:message-size-exceeded');
  connection.close();
  await stillServes();
  assert.ok(broker.memory() - before < 96 * 1024 * 1024, 'it gathered the whole message');
});

test('ten thousand connections opened and dropped', { timeout: 120_000 }, async () => {
  const before = broker.memory();
  for (let round = 0; round < 50; round++) {
    const sockets = await Promise.all(Array.from({ length: 200 }, opened));
    for (const [n, socket] of sockets.entries()) {
      if (n % 2) socket.write(amqp);
      socket.destroy();
    }
  }
  await stillServes();
  assert.ok(broker.memory() - before < 150 * 1024 * 1024, 'dropped connections stay in memory');
});

test('a client that never grants credit, and one that never settles', async () => {
  const client = new ServiceBusClient(broker.connectionString);
  const sender = client.createSender('held');
  await sender.sendMessages(Array.from({ length: 100 }, (_, n) => ({ body: n })));
  const mute = await plain();
  mute.open_receiver({ source: 'held', credit_window: 0 });
  const greedy = await plain();
  let taken = 0;
  const greedyReceiver = greedy.open_receiver({
    source: 'held',
    credit_window: 0,
    autoaccept: false,
  });
  greedyReceiver.on('message', () => taken++);
  await new Promise((resolve) => greedyReceiver.once('receiver_open', resolve));
  greedyReceiver.add_credit(40);
  await until('it has forty', () => taken === 40);
  const receiver = client.createReceiver('held', { receiveMode: 'receiveAndDelete' });
  const got = [];
  while (got.length < 60)
    got.push(...(await receiver.receiveMessages(60, { maxWaitTimeInMs: 3000 })));
  assert.equal(got.length, 60, 'the others are served');
  await client.close();
  mute.close();
  greedy.close();
  await stillServes();
});

test('a client that grants credit and does not read', async () => {
  const client = new ServiceBusClient(broker.connectionString);
  const sender = client.createSender('big');
  const body = Buffer.alloc(200_000);
  for (let n = 0; n < 600; n++) await sender.sendMessages({ body });
  const before = broker.memory();
  const connection = await plain();
  connection.open_receiver({ source: 'big', credit_window: 0, autoaccept: false }).add_credit(2000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { socket } = connection as unknown as { socket: Socket };
  socket.pause();
  await stillServes();
  assert.ok(broker.memory() - before < 64 * 1024 * 1024);
  // rhea's heartbeats end with a close only.
  socket.resume();
  connection.close();
  await client.close();
  await stillServes();
});
