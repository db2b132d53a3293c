/** Nothing that a client sends, and nothing that a timer meets, ends the broker's process. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type rhea from 'rhea';
import type { EventContext } from 'rhea';
import { Deadlines } from '#service-bus/entity/deadlines.js';
import { brokerClock } from '#service-bus/time.js';
import { brokerProcess } from '../support/broker.ts';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';
import { plainConnection } from '../support/plain.ts';
import { conditionOf, requestsTo, types } from '../support/requests.ts';
import { attach, code, described, frame, hello, rawFrame, wire } from '../support/wire.ts';

let broker: Awaited<ReturnType<typeof brokerProcess>>;
before(async () => {
  broker = await brokerProcess({
    queues: [{ name: 'q' }, { name: 's', requiresSession: true }],
  });
});
after(() => broker.remove());

async function withConnection(act: (connection: rhea.Connection) => Promise<void>) {
  const connection = plainConnection(broker.port);
  connection.on('disconnected', () => undefined);
  try {
    await act(connection);
  } finally {
    connection.close();
  }
}

/** Another client is served. */
async function stillServes(): Promise<void> {
  assert.ok(broker.isUp, 'the broker died');
  await withConnection(async (connection) => {
    const { ask } = await requestsTo(connection, 'q/$management');
    const { status } = await ask('com.microsoft:peek-message', {});
    assert.ok(status === 204 || status === 200);
  });
}

test('a request larger than the link takes ends the link of who asked, with the size', () =>
  withConnection(async (connection) => {
    for (const node of ['q/$management', '$cbs']) {
      const { sender } = await requestsTo(connection, node);
      const ended = conditionOf(sender);
      sender.send({ body: Buffer.alloc(400_000) });
      assert.equal(await ended, 'amqp:link:message-size-exceeded');
    }
    await stillServes();
  }));

test('a request that cannot be decoded is refused, also before any token', () =>
  withConnection(async (connection) => {
    for (const node of ['q/$management', '$cbs']) {
      const { sender } = await requestsTo(connection, node);
      for (const bytes of [[0xff], [0x00], [0x00, 0x53], [0x00, 0x53, 0x77], [0x45]]) {
        const refused = new Promise<unknown>((resolve) =>
          sender.once('rejected', ({ delivery }: EventContext) => resolve(delivery?.remote_state)),
        );
        sender.send(Buffer.from(bytes) as never, undefined, 0);
        const { error } = (await refused) as { error?: { condition?: string } };
        assert.equal(error?.condition, 'amqp:decode-error');
      }
    }
    await stillServes();
  }));

test('requests of the wrong shape are answered with 400', () =>
  withConnection(async (connection) => {
    const { ask } = await requestsTo(connection, 'q/$management');
    const wrong: [string, unknown][] = [
      ['update-disposition', { 'disposition-status': 'completed' }],
      ['update-disposition', { 'disposition-status': 'completed', 'lock-tokens': [null] }],
      ['update-disposition', { 'disposition-status': 'no', 'lock-tokens': [Buffer.alloc(16)] }],
      ['renew-lock', { 'lock-tokens': ['text'] }],
      ['renew-lock', [1, 2]],
      ['renew-lock', 'text'],
      ['schedule-message', { messages: [null] }],
      ['schedule-message', { messages: [{ message: Buffer.from([1, 2, 3]) }] }],
      ['peek-message', { 'from-sequence-number': 'x' }],
      ['receive-by-sequence-number', {}],
    ];
    for (const [operation, body] of wrong) {
      const { status } = await ask(`com.microsoft:${operation}`, body);
      assert.equal(status, 400, operation);
    }
    await stillServes();
  }));

const statusOf = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ port: broker.port, host: '127.0.0.1', path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });

test('an upgrade and a request of a path that is no URL', async () => {
  for (const path of ['//', '//:', '/%', 'http://', '/\\', '*']) {
    const socket = connect(broker.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    await closed;
  }
  for (const path of ['//', '//:']) assert.notEqual(await statusOf(path), 500);
  assert.equal(await statusOf('/%'), 400);
  await stillServes();
});

const uint = (n: number) => types.wrap_uint(n);

test('performatives with wrong types, missing fields, giant counts and depths', async () => {
  const nested = (depth: number): Buffer =>
    Buffer.concat([Buffer.alloc(depth, Buffer.from([0x00])), Buffer.from([0x45])]);
  const manyNulls = Buffer.from([0x00, 0x53, 0x10, 0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]);
  const giantList = Buffer.from([0x00, 0x53, 0x10, 0xd0, 0, 0, 0, 4, 0x01, 0xff, 0xff, 0xff]);
  const bad = [
    rawFrame(nested(20_000)),
    rawFrame(manyNulls),
    rawFrame(giantList),
    frame(code.flow, ['x', 'y', uint(0), uint(1), uint(0), 'no', 'no']),
    frame(code.attach, [null, uint(0), false]),
    frame(code.attach, ['l', 'zero', 'sender']),
    frame(code.transfer, [uint(0)], { payload: Buffer.from([1]) }),
    frame(code.disposition, [true, uint(0), uint(4_294_967_295), false, described(0x24, [])]),
    frame(code.disposition, [false, uint(0), uint(4_294_967_295), true]),
    frame(0x99, []),
    frame(code.begin, [null, uint(0)]),
    frame(code.detach, [uint(77)]),
  ];
  for (const each of bad) {
    const client = await wire(broker.port);
    client.say(hello(), attach(0, 'q'), each);
    // The end of a connection, or the answer to what is no fault: both come at once.
    client.say(frame(code.close, []));
    await Promise.race([client.closed, client.hear(code.close)]);
    client.socket.destroy();
  }
  await stillServes();
});

test('credit that is no number hands out nothing', async () => {
  const client = await wire(broker.port);
  client.say(hello(), attach(0, 'q', true));
  await client.hear(code.attach);
  client.say(frame(code.flow, [null, uint(2048), uint(0), uint(2048), uint(0)]));
  client.say(frame(code.close, []));
  await client.hear(code.close);
  client.socket.destroy();
  await stillServes();
});

test('what a timer throws does not end the process, and the others go on', () => {
  const warned: string[] = [];
  const clock = movedClock();
  const guarded = brokerClock(clock);
  const listen = ({ message }: Error) => void warned.push(message);
  process.on('warning', listen);
  guarded.after(10, () => {
    throw new Error('from a timer');
  });
  clock.advance(20);
  const fired: string[] = [];
  const failed: string[] = [];
  const deadlines = new Deadlines<string>(guarded, {
    due(item) {
      if (item === 'bad') throw new Error('no');
      fired.push(item);
      return undefined;
    },
    isOver: () => false,
    failed: (item) => failed.push(item),
  });
  for (const item of ['a', 'bad', 'b']) deadlines.add(guarded.elapsed() + 5, item);
  clock.set(clock.now());
  clock.advance(1_700_000_000_100);
  process.off('warning', listen);
  assert.deepEqual([fired, failed], [['a', 'b'], ['bad']]);
});

test('work on disk that fails is set aside, not done again at each start', async () => {
  const [store, clock] = [keptStore(), movedClock()];
  const topology = { queues: [{ name: 'q' }] };
  const first = await namespaceOf(topology, { store, clock });
  const { queue } = first.get('q');
  const at = clock.now() + 1000;
  const scheduled = content({
    message_annotations: { 'x-opt-scheduled-enqueue-time': new Date(at) },
  });
  queue.enqueue([scheduled, content({ message_id: 'good' })]);
  await first.close();
  // As a version that let it in would have kept it.
  const key = [...store.data.keys()].find((name) => /^q\/b\/0*1$/.test(name)) ?? '';
  const kept = store.data.get(key) ?? Buffer.alloc(0);
  // Of the first of both: it was enqueued at no time.
  kept.writeDoubleBE(Number.NaN, 4 + 8 + 1 + 8);
  store.data.set(key, kept);
  const rubbish = Buffer.alloc(4 + 8 + 20, 1);
  rubbish.writeUInt32BE(28);
  rubbish.writeDoubleBE(9, 4);
  store.data.set('q/b/0000000000000009', rubbish);
  for (let start = 0; start < 2; start++) {
    const namespace = await namespaceOf(topology, { store, clock });
    clock.advance(2000);
    const taker = new Taker();
    namespace.get('q').queue.addConsumer(taker);
    assert.ok(taker.taken.some((message) => message.content.messageId === 'good'));
    taker.left = 0;
    for (const token of taker.tokens) namespace.get('q').queue.settle(token, { kind: 'abandon' });
    await namespace.close();
  }
  assert.ok(store.data.has('q/x/0000000000000009'), 'its bytes are still there');
});
