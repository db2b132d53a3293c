/** Findings of a review, on the wire: links, credit, frames, handshakes, tokens, the data folder. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ClassicLevel } from 'classic-level';
import rhea, { type Connection, type EventContext } from 'rhea';
import { listen } from '#service-bus/amqp/listener.js';
import { Tokens } from '#service-bus/amqp/tokens.js';
import { type Broker, type BrokerOptions, start } from '#service-bus/start.js';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';
import { plainConnection } from '../support/plain.ts';
import { conditionOf, requestsTo, types } from '../support/requests.ts';
import { until } from '../support/until.ts';
import {
  attach,
  code,
  credit,
  described,
  encoded,
  frame,
  hello,
  source,
  target,
  wire,
} from '../support/wire.ts';

let broker: Broker;
before(async () => {
  broker = await start({
    queues: [
      ...['q', 'slots', 'places', 'lapse', 'malformed', 'aborted'].map((name) => ({ name })),
      { name: 's', requiresSession: true },
      { name: 'short', lockDuration: 'PT1S' },
    ],
  });
});
after(() => broker?.close());

async function withConnection<T>(act: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = plainConnection(broker.port);
  connection.on('disconnected', () => undefined);
  try {
    return await act(connection);
  } finally {
    connection.close();
  }
}

/** Sends, and waits until the broker said that it has them. */
async function send(connection: Connection, queue: string, messages: object[]): Promise<void> {
  const sender = connection.open_sender(queue);
  await new Promise((resolve) => sender.once('sendable', resolve));
  let accepted = 0;
  const all = new Promise<void>((resolve) =>
    sender.on('accepted', () => {
      if (++accepted === messages.length) resolve();
      else fill();
    }),
  );
  let sent = 0;
  const fill = () => {
    while (sent < messages.length && sender.sendable()) sender.send(messages[sent++] as never);
  };
  sender.on('sendable', fill);
  fill();
  await all;
  sender.close();
}

const peeked = async (queue: string): Promise<number> =>
  withConnection(async (connection) => {
    const { ask } = await requestsTo(connection, `${queue}/$management`);
    const { body } = await ask('com.microsoft:peek-message', {
      'message-count': types.wrap_int(4000),
    });
    return body?.messages?.length ?? 0;
  });

const uint = (n: number) => types.wrap_uint(n);

test('a message with a malformed section is refused before it is taken in', () =>
  withConnection(async (connection) => {
    const sender = connection.open_sender('malformed');
    await new Promise((resolve) => sender.once('sendable', resolve));
    const value = described(0x77, []);
    const section = (descriptor: number, of: unknown) =>
      encoded(types.wrap_described(of, descriptor));
    const bad = [
      [encoded(described(0x70, [true, types.wrap_ushort(1000)])), encoded(value)],
      [encoded(described(0x70, [null, null, uint(1000)])), section(0x74, null), encoded(value)],
      [encoded(described(0x70, ['yes'])), encoded(value)],
      [section(0x72, [1, 2]), encoded(value)],
      [encoded(described(0x73, [true])), encoded(value)],
      [section(0x74, { a: 1 }), section(0x73, []), encoded(value)],
      [section(0x75, 'text')],
      [encoded(value), encoded(value)],
    ];
    for (const sections of bad) {
      const refused = new Promise<unknown>((resolve) => {
        sender.once('rejected', ({ delivery }: EventContext) => resolve(delivery?.remote_state));
        sender.once('accepted', () => resolve({ error: { condition: 'accepted' } }));
      });
      sender.send(Buffer.concat(sections) as never, undefined, 0);
      const { error } = (await refused) as { error?: { condition?: string } };
      assert.equal(error?.condition, 'amqp:decode-error');
      sender.removeAllListeners('accepted');
      sender.removeAllListeners('rejected');
    }
    assert.equal(await peeked('malformed'), 0);
  }));

test('receive-and-delete hands over nothing that the store has not forgotten', async () => {
  const [store, clock] = [keptStore(), movedClock()];
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
  const options = { clock, tokens: new Tokens([], clock.now), maxMessageBytes: 262_144 };
  const listener = await listen(namespace, { ...options, host: '127.0.0.1', port: 0 });
  const { queue } = namespace.get('q');
  queue.enqueue([content(), content(), content()]);
  await queue.kept();
  let write = () => undefined as unknown;
  const held = new Promise((resolve) => {
    write = () => resolve(undefined);
  });
  const original = store.write.bind(store);
  store.write = (changes) => held.then(() => original(changes));
  const client = await wire(listener.port);
  const asked = ['l', uint(0), true, types.wrap_ubyte(1), null, source('q'), target('wire')];
  client.say(hello(), frame(code.attach, asked), credit(0, 10));
  await client.hear(code.attach);
  // A round trip later it would be there.
  client.say(attach(1, 'q', true));
  await client.hear(code.attach, ({ fields }) => fields[0] === 'link-1');
  const transfers = () => client.heard.filter((each) => each.code === code.transfer).length;
  assert.deepEqual([queue.stock.size, transfers()], [0, 0]);
  write();
  await until('all three', () => transfers() === 3);
  client.socket.destroy();
  await listener.close();
  await namespace.close();
});

test('what was taken for good by a link that was closed before it was handed over is there again', async () => {
  const [store, clock] = [keptStore(), movedClock()];
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
  const { queue } = namespace.get('q');
  queue.enqueue([content({ message_id: 'back' })]);
  const taker = new Taker(1, true);
  queue.addConsumer(taker);
  queue.takeBack(taker.last);
  await namespace.close();
  const again = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
  const next = new Taker();
  again.get('q').queue.addConsumer(next);
  assert.equal(next.last.content.messageId, 'back');
});

test('who accepts the next session and gives credit at once is served when it comes', async () => {
  const client = await wire(broker.port);
  const filter = { 'com.microsoft:session-filter': null };
  const asked = described(0x28, [
    's',
    ...Array.from({ length: 6 }, () => null),
    types.wrap_symbolic_map(filter),
  ]);
  client.say(
    hello(),
    frame(code.attach, ['next', uint(0), true, null, null, asked, target('wire')]),
    frame(code.flow, [uint(0), uint(2048), uint(0), uint(2048), uint(0), uint(0), uint(5)]),
  );
  await client.hear(code.begin);
  await withConnection((connection) =>
    send(connection, 's', [
      { group_id: 'a', body: 1 },
      { group_id: 'a', body: 2 },
    ]),
  );
  await client.hear(code.attach);
  await until(
    'both',
    () => client.heard.filter((each) => each.code === code.transfer).length === 2,
  );
  client.socket.destroy();
});

test('deliveries of a link that was closed, or whose locks are over, leave room in the AMQP session', async () => {
  const messages = Array.from({ length: 2100 }, (_, n) => ({ body: n }));
  const window = 100_000;
  for (const queue of ['slots', 'short']) {
    await withConnection((connection) => send(connection, queue, messages));
    const client = await wire(broker.port);
    const transfers = (handle: number) =>
      client.heard.filter((each) => each.code === code.transfer && each.fields[0] === handle)
        .length;
    client.say(hello(window), attach(0, queue, true), credit(0, 5000, window));
    // Of the short locks some may be over by now.
    await until('as many as the broker keeps', () => transfers(0) >= 2048);
    if (queue === 'slots') {
      client.say(frame(code.detach, [uint(0), true]), attach(1, queue, true));
      client.say(credit(1, 10, window));
      await until('the next link is served', () => transfers(1) === 10);
    } else await until('the end of their locks makes room', () => transfers(0) > 2048);
    client.socket.destroy();
  }
});

test('what waited for places in the AMQP session goes when answers free them, with no word of the client', async () => {
  const messages = Array.from({ length: 2100 }, (_, n) => ({ body: n }));
  await withConnection((connection) => send(connection, 'places', messages));
  const client = await wire(broker.port);
  const transfers = () => client.heard.filter((each) => each.code === code.transfer).length;
  client.say(hello(100_000), attach(0, 'places', true), credit(0, 5000, 100_000));
  await until('as many as the broker keeps', () => transfers() === 2048);
  const all = [true, uint(0), uint(2047), true, described(0x24, [])];
  client.say(frame(code.disposition, all));
  await until('the rest', () => transfers() === 2100);
  client.socket.destroy();
});

test('answers wait for the credit of who asked, thousands of them, and $cbs too', () =>
  withConnection(async (connection) => {
    for (const [node, operation] of [
      ['q/$management', 'com.microsoft:peek-message'],
      ['$cbs', 'put-token'],
    ] as const) {
      const receiver = connection.open_receiver({
        source: node,
        target: { address: `mute-${node}` },
        credit_window: 0,
      } as never);
      const sender = connection.open_sender(node);
      await new Promise((resolve) => sender.once('sendable', resolve));
      let sent = 0;
      const fill = () => {
        while (sent < 2600 && sender.sendable())
          sender.send({
            body: {},
            message_id: String(sent++),
            reply_to: `mute-${node}`,
            application_properties: { operation, name: 'x' },
          });
      };
      sender.on('sendable', fill);
      fill();
      let answers = 0;
      receiver.on('message', () => answers++);
      let taken = 0;
      sender.on('accepted', () => taken++);
      await until('no more credit', () => taken >= 200 && !sender.sendable(), 5000);
      // A round trip of another client: more would have been taken by then.
      assert.equal(await peeked('aborted'), 0);
      assert.equal(taken, 200);
      assert.equal(answers, 0);
      receiver.add_credit(3000);
      await until(`2600 answers of ${node}`, () => answers === 2600, 20_000);
    }
  }));

test("a session is its holder's: nobody else sets, reads or renews it, or settles in it", () =>
  withConnection(async (connection) => {
    await send(connection, 's', [{ group_id: 'mine', body: 1 }]);
    const filter = { 'com.microsoft:session-filter': 'mine' };
    const link = connection.open_receiver({
      source: { address: 's', filter },
      name: 'holder',
    } as never);
    await new Promise((resolve) => link.once('receiver_open', resolve));
    const own = await requestsTo(connection, 's/$management');
    const id = { 'session-id': 'mine' };
    const operations: [string, object][] = [
      ['renew-session-lock', id],
      ['get-session-state', id],
      ['set-session-state', { ...id, 'session-state': Buffer.from('x') }],
    ];
    await withConnection(async (another) => {
      const { ask } = await requestsTo(another, 's/$management');
      for (const [operation, body] of operations) {
        const { status, condition } = await ask(`com.microsoft:${operation}`, body);
        assert.deepEqual([status, condition], [410, 'com.microsoft:session-lock-lost'], operation);
      }
    });
    for (const [operation, body] of operations)
      for (const name of [undefined, 'holder']) {
        const properties = name === undefined ? {} : { 'associated-link-name': name };
        const { status } = await own.ask(`com.microsoft:${operation}`, body, properties);
        assert.equal(status, 200, operation);
      }
  }));

test('an aborted transfer is no message', async () => {
  const client = await wire(broker.port);
  client.say(hello(), attach(0, 'aborted'));
  await client.hear(code.flow, ({ fields }) => fields[4] === 0);
  const body = encoded(types.wrap_described('half of it', 0x77));
  const tag = Buffer.from([1]);
  const transfer = (id: number | null, more: boolean, aborted: boolean, payload: Buffer) =>
    frame(
      code.transfer,
      [
        uint(0),
        id === null ? null : uint(id),
        tag,
        uint(0),
        false,
        more,
        null,
        null,
        false,
        aborted,
      ],
      { payload },
    );
  client.say(
    transfer(0, true, false, body.subarray(0, 5)),
    transfer(null, false, true, body.subarray(5)),
    transfer(1, false, true, body),
    transfer(2, false, false, body),
  );
  const { fields } = await client.hear(code.disposition, (each) => each.fields[1] === 2);
  assert.equal(fields[3], true);
  assert.equal(await peeked('aborted'), 1);
  client.socket.destroy();
});

test('SASL, open, session and link in one write are heard', async () => {
  const client = await wire(broker.port);
  client.say(hello(), attach(0, 'q'));
  await client.hear(code.attach);
  client.socket.destroy();
});

test('a handshake that stops half way is let go, wherever it stops', async () => {
  const clock = movedClock(Date.now());
  const hurried = await start({ queues: [{ name: 'q' }], clock });
  const whole = hello();
  for (const length of [0, 1, 4, 8, 12, 40, 48, 60]) {
    const socket = connect(hurried.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await new Promise((resolve) => socket.write(whole.subarray(0, length), resolve));
    // A connection of another client shows that the broker has read what came before it.
    const other = await wire(hurried.port);
    other.say(whole);
    await other.hear(code.open);
    clock.advance(31_000);
    await closed;
    other.socket.destroy();
  }
  await hurried.close();
});

async function inFolder(act: (folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-links-'));
  try {
    await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('a start that fails lets go of the data', () =>
  inFolder(async (folder) => {
    const occupied = createServer();
    await new Promise<void>((resolve) => occupied.listen(0, '127.0.0.1', resolve));
    const { port } = occupied.address() as { port: number };
    const options: BrokerOptions = { queues: [{ name: 'q' }], data: folder };
    await assert.rejects(start({ ...options, port }), /EADDRINUSE/);
    occupied.close();
    const again = await start(options);
    await again.close();
  }));

test("somebody else's LevelDB is refused, and as it was", () =>
  inFolder(async (folder) => {
    const db = new ClassicLevel(folder);
    await db.put('theirs', 'value');
    await db.close();
    await assert.rejects(start({ queues: [{ name: 'q' }], data: folder }), /not the broker's/);
    const again = new ClassicLevel(folder);
    assert.deepEqual(await again.keys().all(), ['theirs']);
    await again.close();
    assert.ok((await readdir(folder)).length > 0);
  }));

test('a link ends when the token does by which it was opened, unless it was renewed', async () => {
  const key = Buffer.from('of a test').toString('base64');
  const clock = movedClock(Date.now());
  const keyed = await start({ keys: [{ name: 'root', key }], queues: [{ name: 'q' }], clock });
  const tokenFor = (seconds: number) => {
    const sr = encodeURIComponent('sb://127.0.0.1/q');
    const se = Math.floor(clock.now() / 1000) + seconds;
    const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
    return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=root`;
  };
  const connection = rhea
    .create_container()
    .connect({ port: keyed.port, host: '127.0.0.1', reconnect: false });
  connection.on('disconnected', () => undefined);
  const { ask } = await requestsTo(connection, '$cbs');
  const put = (seconds: number) =>
    ask('put-token', tokenFor(seconds), { name: 'sb://127.0.0.1/q', type: 'x' });
  assert.equal((await put(60)).status, 202);
  const sender = connection.open_sender('q');
  await new Promise((resolve) => sender.once('sendable', resolve));
  const ended = conditionOf(sender);
  assert.equal((await put(120)).status, 202);
  clock.advance(90_000);
  const sent = new Promise((resolve) => sender.once('accepted', resolve));
  sender.send({ body: 'still open' });
  await sent;
  clock.advance(60_000);
  assert.equal(await ended, 'amqp:unauthorized-access');
  connection.close();
  await keyed.close();
});
