/**
 * What the JavaScript SDK does not ask for, or not strictly: AMQP types that .NET insists on, and
 * operations of newer SDKs, by a plain client over `$management`.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import rhea, { type Message } from 'rhea';
import { type Broker, start } from '#service-bus/start.js';
import { plainConnection } from '../support/plain.ts';

let broker: Broker;
let client: ServiceBusClient;
before(async () => {
  broker = await start({
    queues: [
      { name: 'q' },
      { name: 's', requiresSession: true },
      { name: 'listed', requiresSession: true },
      { name: 'p' },
    ],
    topics: [{ name: 't', subscriptions: [{ name: 'sub' }] }],
  });
  client = new ServiceBusClient(broker.connectionString);
});
after(async () => {
  await client.close();
  await broker.close();
});

// biome-ignore lint/suspicious/noExplicitAny: bodies of answers are looked into
type Answer = { status: unknown; body: any; raw: Buffer };

/** Asks as .NET does: to an address with a leading slash, with the answers' address as the target. */
async function ask(entity: string, operation: string, body: unknown): Promise<Answer> {
  const connection = plainConnection(broker.port);
  const node = `/${entity}/$management`;
  const encoded: Buffer[] = [];
  try {
    return await new Promise((resolve, reject) => {
      connection.on('disconnected', ({ error }) => reject(error));
      connection.on('session_open', ({ session }) => {
        const { incoming } = session as unknown as {
          incoming: { on_transfer(frame: { payload: Buffer }, receiver: unknown): void };
        };
        const original = incoming.on_transfer.bind(incoming);
        incoming.on_transfer = (frame, receiver) => {
          encoded.push(frame.payload);
          original(frame, receiver);
        };
      });
      const sender = connection.open_sender(node);
      connection.open_receiver({ source: node, target: { address: 'answers' } } as never);
      sender.once('sendable', () =>
        sender.send({
          body,
          message_id: 'one',
          reply_to: 'answers',
          application_properties: { operation },
        } as Message),
      );
      connection.on('message', ({ message }) => {
        assert.equal(message?.correlation_id, 'one');
        const { statusCode: status } = message?.application_properties ?? {};
        resolve({ status, body: message?.body, raw: Buffer.concat(encoded) });
      });
    });
  } finally {
    connection.removeAllListeners('disconnected');
    connection.on('disconnected', () => undefined);
    connection.close();
  }
}

/** The type code of the value that follows an encoded string or symbol key. */
function codeAfter(raw: Buffer, key: string): number | undefined {
  const at = raw.indexOf(key);
  assert.ok(at > 0, `${key} is in the answer`);
  return raw[at + key.length];
}

const { types } = rhea;
const long = (n: number) => types.wrap_long(n);
const peek = { 'from-sequence-number': long(0), 'message-count': types.wrap_int(10) };

test('numbers and times have the types that .NET casts to', async () => {
  await client.createSender('q').sendMessages({ body: 'x', messageId: 'm' });
  const { raw, status, body } = await ask('q', 'com.microsoft:peek-message', peek);
  assert.equal(status, 200);
  assert.ok([0x54, 0x71].includes(codeAfter(raw, 'statusCode') ?? 0), 'statusCode is an int');
  const message = body.messages[0].message as Buffer;
  assert.equal(codeAfter(message, 'x-opt-sequence-number'), 0x81, 'long');
  assert.equal(codeAfter(message, 'x-opt-enqueue-sequence-number'), 0x81);
  assert.equal(codeAfter(message, 'x-opt-enqueued-time'), 0x83, 'timestamp');
  assert.equal(codeAfter(message, 'x-opt-message-state'), 0x71, 'int');
});

test('errors carry a symbol, and sequence numbers an array of longs', async () => {
  const missing = { 'sequence-numbers': types.wrap_array([99], 0x81, undefined) };
  const { raw, status } = await ask('q', 'com.microsoft:cancel-scheduled-message', missing);
  assert.equal(status, 404);
  assert.equal(codeAfter(raw, 'errorCondition'), 0xa3, 'symbol');
  const scheduled = rhea.message.encode({
    body: 'later',
    message_annotations: {
      'x-opt-scheduled-enqueue-time': types.wrap_timestamp(Date.now() + 60_000),
    },
  } as never);
  const messages = [{ 'message-id': 'l', message: types.wrap_binary(scheduled as never) }];
  const answer = await ask('q', 'com.microsoft:schedule-message', { messages });
  assert.ok([0xe0, 0xf0].includes(codeAfter(answer.raw, 'sequence-numbers') ?? 0), 'an array');
});

test('what is not supported says so by name', async () => {
  const { status, raw } = await ask('q', 'com.microsoft:make-coffee', {});
  assert.equal(status, 501);
  assert.ok(raw.includes('make-coffee') && raw.includes('amqp:not-implemented'));
});

test('messages are deleted in batches, the oldest first, but not those that are locked or later', async () => {
  const sender = client.createSender('p');
  await sender.sendMessages([0, 1, 2, 3, 4].map((body) => ({ body })));
  const receiver = client.createReceiver('p');
  const [locked] = await receiver.receiveMessages(1);
  assert.equal(locked?.body, 0);
  const now = types.wrap_timestamp(Date.now() + 1000);
  const count = (n: number) => ({ 'message-count': types.wrap_int(n), 'enqueued-time-utc': now });
  const batch = 'com.microsoft:batch-delete-messages';
  assert.deepEqual((await ask('p', batch, count(3))).body, { 'message-count': 3 });
  const early = { ...count(3), 'enqueued-time-utc': types.wrap_timestamp(1000) };
  assert.equal((await ask('p', batch, early)).status, 204);
  assert.deepEqual(
    (await receiver.peekMessages(9)).map(({ body }) => body),
    [0, 4],
  );
  await receiver.close();
});

test('sessions are listed in pages, those of a state too', async () => {
  const sender = client.createSender('s');
  await sender.sendMessages(['a', 'b', 'c'].map((sessionId) => ({ body: 1, sessionId })));
  const session = await client.acceptSession('s', 'of-state');
  await session.setSessionState('kept');
  await session.close();
  const operation = 'com.microsoft:get-message-sessions';
  const page = (skip: number) => ({ skip: types.wrap_int(skip), top: types.wrap_int(3) });
  assert.deepEqual((await ask('s', operation, page(0))).body['sessions-ids'], ['a', 'b', 'c']);
  assert.deepEqual((await ask('s', operation, page(3))).body['sessions-ids'], ['of-state']);
  assert.equal((await ask('s', operation, page(4))).status, 204);
});

test('sessions are listed of which the state was set after a time; the SDKs mean none by the year 10000', async () => {
  const operation = 'com.microsoft:get-message-sessions';
  const set = async (id: string) => {
    const session = await client.acceptSession('listed', id);
    await session.setSessionState('kept');
    await session.close();
  };
  const since = async (time: number) => {
    const body = { skip: types.wrap_int(0), top: types.wrap_int(100) };
    const asked = { ...body, 'last-updated-time': types.wrap_timestamp(time) };
    return ask('listed', operation, asked);
  };
  await client.createSender('listed').sendMessages({ body: 1, sessionId: 'stateless' });
  await set('early');
  await pause(20);
  const between = Date.now() - 5;
  await set('late');
  const { body, raw } = await since(between);
  assert.deepEqual(body['sessions-ids'], ['late']);
  assert.ok([0xe0, 0xf0].includes(codeAfter(raw, 'sessions-ids') ?? 0), 'an array');
  assert.equal((await since(Date.now() + 1000)).status, 204);
  assert.equal((await since(253_402_300_800_000)).body['sessions-ids'].length, 3);
});

test('peek is of a session when asked, and without bodies when asked', async () => {
  const of = async (more: object) => {
    const { body } = await ask('s', 'com.microsoft:peek-message', { ...peek, ...more });
    return (body?.messages ?? []) as { message: Buffer }[];
  };
  assert.equal((await of({})).length, 3);
  assert.equal((await of({ 'session-id': 'b' })).length, 1);
  assert.equal((await of({ 'session-id': 'none' })).length, 0);
  const [whole] = await of({ 'session-id': 'b' });
  const [head] = await of({ 'session-id': 'b', 'omit-message-body': true });
  assert.ok(head && whole && head.message.length < whole.message.length);
  const decoded = rhea.message.decode(head.message as never) as unknown as Message;
  assert.equal(decoded.group_id, 'b');
});

test('peek of a session in a queue without sessions shows those of its id', async () => {
  await client
    .createSender('p')
    .sendMessages(['x', 'y'].map((sessionId) => ({ body: 1, sessionId })));
  const { body } = await ask('p', 'com.microsoft:peek-message', { ...peek, 'session-id': 'y' });
  assert.equal(body.messages.length, 1);
});

test('a settlement over management works when its link is gone', async () => {
  const receiver = client.createReceiver('q');
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 2000 });
  assert.ok(message);
  await receiver.close();
  const token = Buffer.from(String(message.lockToken).replaceAll('-', ''), 'hex');
  const body = {
    'disposition-status': 'completed',
    'lock-tokens': types.wrap_array([token], 0x98, undefined),
  };
  assert.equal((await ask('q', 'com.microsoft:update-disposition', body)).status, 200);
  assert.equal((await ask('q', 'com.microsoft:update-disposition', body)).status, 410);
});

test('a coordinator link and an unknown node are refused at once', async () => {
  const refusedBy = async (address: unknown) => {
    const connection = plainConnection(broker.port);
    try {
      return await new Promise<string | undefined>((resolve) => {
        connection.open_sender({ target: address } as never);
        connection.on('sender_error', ({ sender }) =>
          resolve((sender?.error as { condition?: string })?.condition),
        );
      });
    } finally {
      connection.on('disconnected', () => undefined);
      connection.close();
    }
  };
  assert.equal(await refusedBy({}), 'amqp:not-implemented');
  assert.equal(await refusedBy({ address: 'nobody' }), 'amqp:not-found');
});
