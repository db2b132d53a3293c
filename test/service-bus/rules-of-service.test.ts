/** Rules of the service that its makers' own suites look for, by the entities or on the wire. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ServiceBusClient, type ServiceBusReceiver } from '@azure/service-bus';
import rhea, { type Message } from 'rhea';
import { type Broker, start } from '#service-bus/start.js';
import { administrationOf } from '../support/administration.ts';
import { content, movedClock, namespaceOf, Taker } from '../support/bus.ts';
import { plainConnection } from '../support/plain.ts';
import { conditionOf, longs, requestsTo, types, uuids } from '../support/requests.ts';

let broker: Broker;
let client: ServiceBusClient;
before(async () => {
  broker = await start({
    queues: [{ name: 'q' }, { name: 'd', maxDeliveryCount: 3 }],
    topics: [{ name: 't', subscriptions: [{ name: 's' }] }],
  });
  client = new ServiceBusClient(broker.connectionString);
});
after(async () => {
  await client?.close();
  await broker?.close();
});

async function withConnection<T>(act: (connection: rhea.Connection) => Promise<T>): Promise<T> {
  const connection = plainConnection(broker.port);
  connection.on('disconnected', () => undefined);
  try {
    return await act(connection);
  } finally {
    connection.close();
  }
}

const one = async (receiver: ServiceBusReceiver) => {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 3000 });
  assert.ok(message);
  return message;
};

const admin = () => administrationOf(broker.connectionString);

/** The administration by itself, for what the SDK does not send. */
async function http(method: string, path: string, body?: string, update = false) {
  const response = await fetch(`http://127.0.0.1:${broker.port}/${path}`, {
    method,
    ...(body === undefined ? {} : { body: entry(body) }),
    headers: update ? { 'if-match': '*' } : {},
  });
  return { status: response.status, text: await response.text() };
}
const entry = (content: string) =>
  `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">${content}</content></entry>`;

test('a deleted entity ends senders, receivers and both management links; opened again they get the new one', () =>
  withConnection(async (connection) => {
    await admin().createQueue('gone');
    const sender = connection.open_sender('gone');
    const receiver = connection.open_receiver('gone');
    const { sender: requests } = await requestsTo(connection, 'gone/$management');
    const answers = connection.find_receiver((link: rhea.Receiver) =>
      /answers/.test(link.target?.address ?? ''),
    );
    const ended = [sender, receiver, requests, answers].map(conditionOf);
    await admin().deleteQueue('gone');
    assert.deepEqual(
      await Promise.all(ended),
      ended.map(() => 'amqp:not-found'),
    );
    await admin().createQueue('gone');
    const again = await requestsTo(connection, 'gone/$management');
    const { status } = await again.ask('com.microsoft:peek-message', {});
    assert.equal(status, 204);
  }));

test('a sender of the SDK that stays open over delete and create sends to the new entity', async () => {
  await admin().createQueue('anew');
  const sender = client.createSender('anew');
  await sender.sendMessages({ body: 'old' });
  await admin().deleteQueue('anew');
  await admin().createQueue('anew');
  await sender.sendMessages({ body: 'new' });
  const peeked = await client.createReceiver('anew').peekMessages(5);
  assert.deepEqual(
    peeked.map(({ body }) => body),
    ['new'],
  );
});

test('deferring counts a delivery each time, and so does abandoning what was deferred; dead-lettering keeps it', async () => {
  await client.createSender('d').sendMessages({ body: 1 });
  const receiver = client.createReceiver('d');
  const message = await one(receiver);
  assert.equal(message.deliveryCount, 0);
  await receiver.deferMessage(message);
  const number = message.sequenceNumber;
  assert.ok(number);
  const [deferred] = await receiver.receiveDeferredMessages([number]);
  assert.equal(deferred?.deliveryCount, 1);
  if (deferred) await receiver.abandonMessage(deferred);
  const [abandoned] = await receiver.receiveDeferredMessages([number]);
  assert.equal(abandoned?.deliveryCount, 2);
  if (abandoned) await receiver.deadLetterMessage(abandoned);
  const letter = await one(client.createReceiver('d', { subQueueType: 'deadLetter' }));
  assert.equal(letter.deliveryCount, 2);
});

test('deferred too often a message is dead-lettered', async () => {
  const namespace = await namespaceOf({ queues: [{ name: 'q', maxDeliveryCount: 2 }] });
  const { queue } = namespace.get('q');
  const taker = new Taker(1);
  queue.addConsumer(taker);
  const [sequence = 0] = queue.enqueue([content()]);
  queue.settle(taker.tokens[0] ?? '', { kind: 'defer' });
  queue.receiveDeferred([sequence], taker);
  queue.settle(taker.last.lock?.token ?? '', { kind: 'defer' });
  assert.equal(queue.stock.size, 0);
  assert.equal(queue.deadLetters?.stock.size, 1);
});

test('in a dead-letter queue the delivery count never grows', async () => {
  const clock = movedClock();
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] }, { clock });
  const { queue } = namespace.get('q');
  const taker = new Taker(1);
  queue.addConsumer(taker);
  queue.enqueue([content()]);
  queue.settle(taker.tokens[0] ?? '', { kind: 'deadLetter' });
  const dead = queue.deadLetters;
  const of = new Taker();
  dead?.addConsumer(of);
  dead?.settle(of.tokens[0] ?? '', { kind: 'abandon' });
  clock.advance(61_000);
  of.left = 0;
  dead?.settle(of.last.lock?.token ?? '', { kind: 'defer' });
  assert.equal(of.last.deliveryCount, 0);
  assert.ok(of.taken.length >= 3);
});

test('a token may end its resource in a slash', async () => {
  const key = Buffer.from('of a test').toString('base64');
  const keyed = await start({
    keys: [{ name: 'root', key }],
    topics: [{ name: 'topic', subscriptions: [{ name: 's' }] }],
  });
  const connection = plainConnection(keyed.port);
  connection.on('disconnected', () => undefined);
  const sr = encodeURIComponent('sb://127.0.0.1/topic/subscriptions/');
  const se = Math.floor(Date.now() / 1000) + 60;
  const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
  const token = `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=root`;
  const { ask } = await requestsTo(connection, '$cbs');
  const put = (name: string) => ask('put-token', token, { name, type: 'x' });
  assert.equal((await put('sb://127.0.0.1/topic/Subscriptions')).status, 202);
  assert.equal((await put('sb://127.0.0.1/topic/Subscriptions/s')).status, 202);
  assert.equal((await put('sb://127.0.0.1/topic')).status, 401);
  connection.close();
  await keyed.close();
});

test('peek without bodies has no body section', () =>
  withConnection(async (connection) => {
    await client.createSender('q').sendMessages({ body: 'long '.repeat(100) });
    const { ask } = await requestsTo(connection, 'q/$management');
    const { body } = await ask('com.microsoft:peek-message', { 'omit-message-body': true });
    const bytes = body.messages[0].message as Buffer;
    for (const section of [0x75, 0x76, 0x77])
      assert.ok(!bytes.includes(Buffer.from([0x00, 0x53, section])), `0x${section.toString(16)}`);
    const receiver = client.createReceiver('q');
    await receiver.completeMessage(await one(receiver));
  }));

test('a scheduled message that has come due still says that it was scheduled', async () => {
  for (const [to, from] of [
    ['q', ['q']],
    ['t', ['t', 's']],
  ] as const) {
    // Later than the broker, however busy, takes it in: else it would never have been scheduled.
    const at = new Date(Date.now() + 2_000);
    await client.createSender(to).scheduleMessages([{ body: 1 }], at);
    const receiver = client.createReceiver(...(from as [string, string]));
    const message = await one(receiver);
    assert.equal(message.state, 'scheduled');
    await receiver.completeMessage(message);
  }
});

test('rules are listed by name, skip and top come after; one that is there is refused by its name', () =>
  withConnection(async (connection) => {
    const { ask } = await requestsTo(connection, 't/Subscriptions/s/$management');
    for (const name of ['b', 'a', 'c'])
      await ask('com.microsoft:add-rule', { 'rule-name': name, 'rule-description': {} });
    const page = await ask('com.microsoft:enumerate-rules', {
      skip: types.wrap_int(1),
      top: types.wrap_int(2),
    });
    const names = (page.body.rules as { 'rule-description': { value: unknown[] } }[]).map(
      ({ 'rule-description': rule }) => String(rule.value?.[2]),
    );
    assert.deepEqual(names, ['a', 'b']);
    const again = await ask('com.microsoft:add-rule', { 'rule-name': 'a', 'rule-description': {} });
    assert.equal(again.status, 409);
    const rule = '<RuleDescription><Filter type="TrueFilter"/></RuleDescription>';
    const { status, text } = await http('PUT', 't/Subscriptions/s/Rules/a', rule);
    assert.equal(status, 409);
    assert.match(text, /The messaging entity .*a.* already exists\./);
  }));

test('of an address to forward to scheme and host are lower case, the path stays', async () => {
  const forwardTo = `SB://LocalHost:${broker.port}/Q`;
  await admin().createQueue('onward', { forwardTo });
  assert.match((await admin().getQueue('onward')).forwardTo ?? '', /^sb:\/\/localhost:\d+\/Q$/);
  await client.createSender('onward').sendMessages({ body: 'moved' });
  const receiver = client.createReceiver('q');
  const message = await one(receiver);
  assert.equal(message.body, 'moved');
  await receiver.completeMessage(message);
});

test('a partitioned entity is sixteen times as large, and stays so when updated', async () => {
  const made = await admin().createQueue('parts', {
    enablePartitioning: true,
    maxSizeInMegabytes: 1024,
  });
  assert.equal(made.maxSizeInMegabytes, 16_384);
  const updated = await admin().updateQueue({ ...made, userMetadata: 'x' });
  assert.equal(updated.maxSizeInMegabytes, 16_384);
});

test('SupportOrdering is told as it was set; the namespace by the first label of its host', async () => {
  for (const ordering of [true, false]) {
    const made = await admin().createTopic(`ordering-${ordering}`, { supportOrdering: ordering });
    assert.equal(made.supportOrdering, ordering);
  }
  const response = await fetch(`http://localhost:${broker.port}/$namespaceinfo`);
  assert.match(await response.text(), /<Name>localhost<\/Name>/);
});

test('a maximum message size outside 1024 to 102400 is refused', async () => {
  for (const kilobytes of [1, 256, 1023, 102_401]) {
    const description = `<QueueDescription><MaxMessageSizeInKilobytes>${kilobytes}</MaxMessageSizeInKilobytes></QueueDescription>`;
    assert.equal((await http('PUT', 'sized', description)).status, 400);
  }
  const good =
    '<QueueDescription><MaxMessageSizeInKilobytes>2048</MaxMessageSizeInKilobytes></QueueDescription>';
  assert.equal((await http('PUT', 'sized', good)).status, 201);
  // What was told of an entity of which nothing was asked comes back with an update.
  const q = await admin().getQueue('q');
  await admin().updateQueue({ ...q, userMetadata: 'x' });
});

test('a deferred message carries its lock token inside; without one a settlement is refused', () =>
  withConnection(async (connection) => {
    await client.createSender('q').sendMessages({ body: 'later' });
    const receiver = client.createReceiver('q');
    const message = await one(receiver);
    await receiver.deferMessage(message);
    const { ask } = await requestsTo(connection, 'q/$management');
    const { body } = await ask('com.microsoft:receive-by-sequence-number', {
      'sequence-numbers': longs([message.sequenceNumber?.toNumber() ?? 0]),
      'receiver-settle-mode': types.wrap_uint(1),
    });
    const [{ message: bytes, 'lock-token': token }] = body.messages;
    const decoded = rhea.message.decode(bytes) as unknown as Message;
    assert.deepEqual(decoded.delivery_annotations?.['x-opt-lock-token'], token);
    assert.ok(decoded.message_annotations?.['x-opt-locked-until'] instanceof Date);
    const settle = (more: object) =>
      ask('com.microsoft:update-disposition', { 'disposition-status': 'completed', ...more });
    assert.deepEqual(
      [(await settle({})).status, (await settle({})).condition],
      [400, 'com.microsoft:argument-error'],
    );
    assert.equal((await settle({ 'lock-tokens': uuids([token]) })).status, 200);
  }));
