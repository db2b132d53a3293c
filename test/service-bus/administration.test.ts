/** The HTTP administration, driven by the unmodified `ServiceBusAdministrationClient`. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import { type Broker, start } from '#service-bus/start.js';
import { administrationOf } from '../support/administration.ts';
import { until } from '../support/until.ts';

let folder: string;
let broker: Broker;
let client: ServiceBusClient;
let admin: ServiceBusAdministrationClient;

async function open() {
  broker = await start({ data: folder, queues: [{ name: 'declared' }] });
  client = new ServiceBusClient(broker.connectionString);
  admin = administrationOf(broker.connectionString);
}
async function shut() {
  await client.close();
  await broker.close();
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-admin-'));
  await open();
});
after(async () => {
  await shut();
  await rm(folder, { recursive: true, force: true });
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test('a queue is made as described, read, changed, used and removed', async () => {
  const wanted = {
    lockDuration: 'PT45S',
    maxDeliveryCount: 3,
    requiresSession: true,
    requiresDuplicateDetection: true,
    duplicateDetectionHistoryTimeWindow: 'PT5M',
    deadLetteringOnMessageExpiration: true,
    defaultMessageTimeToLive: 'PT2H',
    userMetadata: 'of <ours> & theirs',
    forwardDeadLetteredMessagesTo: 'declared',
    maxSizeInMegabytes: 2048,
    status: 'Active' as const,
  };
  const made = await admin.createQueue('made/queue', wanted);
  const found = await admin.getQueue('made/queue');
  assert.equal(found.name, 'made/queue');
  for (const [name, value] of Object.entries(wanted)) {
    const expected = name === 'forwardDeadLetteredMessagesTo' ? /declared$/ : value;
    const actual = found[name as keyof typeof found];
    if (expected instanceof RegExp) assert.match(String(actual), expected);
    else assert.deepEqual(actual, expected, name);
    assert.deepEqual(made[name as keyof typeof made], actual, name);
  }
  assert.equal(await admin.queueExists('made/queue'), true);
  assert.equal(await admin.queueExists('none'), false);
  await admin.updateQueue({ ...found, lockDuration: 'PT30S', userMetadata: 'changed' });
  const changed = await admin.getQueue('made/queue');
  assert.deepEqual([changed.lockDuration, changed.userMetadata], ['PT30S', 'changed']);
  await assert.rejects(
    admin.updateQueue({ ...found, requiresSession: false }),
    /cannot be changed/,
  );
  await admin.deleteQueue('made/queue');
  await assert.rejects(admin.getQueue('made/queue'), { code: 'MessageEntityNotFoundError' });
  await assert.rejects(admin.deleteQueue('made/queue'), { code: 'MessageEntityNotFoundError' });
});

test('a queue that is there cannot be made again, and a wrong one is refused with why', async () => {
  await assert.rejects(admin.createQueue('declared'), { code: 'MessageEntityAlreadyExistsError' });
  await assert.rejects(admin.createQueue('wrong', { lockDuration: 'soon' }), /lockDuration/);
  assert.equal(await admin.queueExists('wrong'), false);
});

test('lists come in pages, with counts', async () => {
  for (let n = 0; n < 7; n++) await admin.createQueue(`page-${n}`);
  const pages: number[] = [];
  for await (const page of admin.listQueues().byPage({ maxPageSize: 3 })) pages.push(page.length);
  assert.deepEqual(pages, [3, 3, 2]);
  const names = (await collect(admin.listQueues())).map(({ name }) => name);
  assert.deepEqual(names, ['declared', ...[0, 1, 2, 3, 4, 5, 6].map((n) => `page-${n}`)]);
  const sender = client.createSender('page-1');
  await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
  await sender.scheduleMessages({ body: 4 }, new Date(Date.now() + 60_000));
  const receiver = client.createReceiver('page-1');
  const [one, two] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 500 });
  assert.ok(one && two);
  await receiver.deadLetterMessage(one);
  await receiver.deferMessage(two);
  const counts = await admin.getQueueRuntimeProperties('page-1');
  assert.deepEqual(
    [
      counts.activeMessageCount,
      counts.scheduledMessageCount,
      counts.deadLetterMessageCount,
      counts.totalMessageCount,
    ],
    [1, 1, 1, 4],
  );
  assert.ok((counts.sizeInBytes ?? 0) > 0);
  assert.ok(counts.createdAt instanceof Date);
  const all = await collect(admin.listQueuesRuntimeProperties());
  assert.equal(all.find(({ name }) => name === 'page-1')?.activeMessageCount, 1);
  await Promise.all([sender.close(), receiver.close()]);
});

test('topics, subscriptions and rules', async () => {
  await admin.createTopic('t', { requiresDuplicateDetection: true });
  await admin.createSubscription('t', 's', {
    maxDeliveryCount: 4,
    defaultRuleOptions: { name: 'first', filter: { subject: 'hello' } },
  });
  const subscription = await admin.getSubscription('t', 's');
  assert.deepEqual(
    [subscription.topicName, subscription.subscriptionName, subscription.maxDeliveryCount],
    ['t', 's', 4],
  );
  assert.deepEqual(
    (await collect(admin.listRules('t', 's'))).map(({ name }) => name),
    ['first'],
  );
  await admin.createRule(
    't',
    's',
    'sql',
    { sqlExpression: 'n > @least', sqlParameters: { '@least': 5 } },
    { sqlExpression: "SET seen = 'yes'" },
  );
  const rule = await admin.getRule('t', 's', 'sql');
  assert.deepEqual(rule.filter, { sqlExpression: 'n > @least', sqlParameters: { '@least': 5 } });
  assert.equal(rule.action.sqlExpression, "SET seen = 'yes'");
  const first = await admin.getRule('t', 's', 'first');
  assert.equal((first.filter as { subject?: string }).subject, 'hello');
  await admin.updateRule('t', 's', {
    ...first,
    filter: { applicationProperties: { a: 'b', n: 1 } },
  });
  const sender = client.createSender('t');
  await sender.sendMessages([
    { body: 1, subject: 'hello' },
    { body: 2, applicationProperties: { a: 'b', n: 1 } },
    { body: 3, applicationProperties: { n: 6 } },
  ]);
  const receiver = client.createReceiver('t', 's');
  const taken = await receiver.receiveMessages(3, { maxWaitTimeInMs: 1500 });
  assert.deepEqual(
    taken.map(({ body }) => body),
    [2, 3],
  );
  for (const message of taken) await receiver.completeMessage(message);
  assert.equal((await admin.getTopicRuntimeProperties('t')).subscriptionCount, 1);
  assert.equal((await admin.getSubscriptionRuntimeProperties('t', 's')).activeMessageCount, 0);
  assert.deepEqual(
    (await collect(admin.listSubscriptions('t'))).map((s) => s.subscriptionName),
    ['s'],
  );
  assert.deepEqual(
    (await collect(admin.listTopics())).map(({ name }) => name),
    ['t'],
  );
  assert.equal(await admin.ruleExists('t', 's', 'none'), false);
  await admin.deleteRule('t', 's', 'sql');
  await admin.deleteTopic('t');
  assert.equal(await admin.subscriptionExists('t', 's'), false);
  await Promise.all([sender.close(), receiver.close()]);
});

test('disabled, an entity neither takes nor gives; a receiver is told', async () => {
  await admin.createQueue('switched');
  const queue = await admin.getQueue('switched');
  await admin.updateQueue({ ...queue, status: 'SendDisabled' });
  const sender = client.createSender('switched');
  await assert.rejects(sender.sendMessages({ body: 1 }), { code: 'MessagingEntityDisabled' });
  await admin.updateQueue({ ...queue, status: 'ReceiveDisabled' });
  const again = client.createSender('switched');
  await again.sendMessages({ body: 1 });
  const receiver = client.createReceiver('switched');
  await assert.rejects(receiver.receiveMessages(1, { maxWaitTimeInMs: 500 }), {
    code: 'MessagingEntityDisabled',
  });
  await admin.updateQueue({ ...queue, status: 'Active' });
  const [message] = await client
    .createReceiver('switched')
    .receiveMessages(1, { maxWaitTimeInMs: 500 });
  assert.equal(message?.body, 1);
  await Promise.all([sender.close(), again.close(), receiver.close()]);
});

test('a queue that is disabled ends its receivers', async () => {
  await admin.createQueue('closing');
  const receiver = client.createReceiver('closing');
  const errors: { code?: string }[] = [];
  receiver.subscribe({
    processMessage: async () => undefined,
    processError: async ({ error }) => void errors.push(error as { code?: string }),
  });
  const sender = client.createSender('closing');
  await sender.sendMessages({ body: 1 });
  await until(
    'it receives',
    async () => (await admin.getQueueRuntimeProperties('closing')).activeMessageCount === 0,
  );
  await admin.updateQueue({ ...(await admin.getQueue('closing')), status: 'Disabled' });
  await until('it is told', () => errors.some(({ code }) => code === 'MessagingEntityDisabled'));
  await Promise.all([receiver.close(), sender.close()]);
});

test('a queue that is removed ends its receivers, and made again is empty', async () => {
  await admin.createQueue('again', { requiresDuplicateDetection: true });
  const sender = client.createSender('again');
  await sender.sendMessages({ body: 1, messageId: 'same' });
  const errors: unknown[] = [];
  const receiver = client.createReceiver('again');
  receiver.subscribe({
    processMessage: async () => undefined,
    processError: async ({ error }) => void errors.push(error),
  });
  await until(
    'it was taken',
    async () => (await admin.getQueueRuntimeProperties('again')).activeMessageCount === 0,
  );
  await admin.deleteQueue('again');
  await until('the receiver is told', () => errors.length > 0);
  // It would connect again, and take the next message.
  await receiver.close();
  await admin.createQueue('again', { requiresDuplicateDetection: true });
  assert.equal((await admin.getQueueRuntimeProperties('again')).totalMessageCount, 0);
  const other = client.createSender('again');
  await other.sendMessages({ body: 2, messageId: 'same' });
  await until(
    'no duplicate of what was in the removed one',
    async () => (await admin.getQueueRuntimeProperties('again')).totalMessageCount === 1,
  );
});

test('a queue that is full says so, and takes again when there is room', async () => {
  await admin.createQueue('small', { maxSizeInMegabytes: 1 });
  const sender = client.createSender('small');
  const body = Buffer.alloc(200_000);
  for (let n = 0; n < 5; n++) await sender.sendMessages({ body });
  await assert.rejects(sender.sendMessages({ body }), { code: 'QuotaExceeded', retryable: false });
  const receiver = client.createReceiver('small', { receiveMode: 'receiveAndDelete' });
  await receiver.receiveMessages(1);
  await sender.sendMessages({ body });
  await Promise.all([sender.close(), receiver.close()]);
});

test('dead letters of a queue with sessions are received and peeked without a session', async () => {
  await admin.createQueue('burial', { requiresSession: true });
  const sender = client.createSender('burial');
  await sender.sendMessages([
    { body: 1, sessionId: 'a' },
    { body: 2, sessionId: 'b' },
  ]);
  for (let n = 0; n < 2; n++) {
    const session = await client.acceptNextSession('burial');
    const [message] = await session.receiveMessages(1);
    assert.ok(message);
    await session.deadLetterMessage(message);
    await session.close();
  }
  const dead = client.createReceiver('burial', { subQueueType: 'deadLetter' });
  const peeked = await dead.peekMessages(5);
  assert.deepEqual(
    peeked.map(({ sessionId }) => sessionId),
    ['a', 'b'],
  );
  const received = await dead.receiveMessages(2, { maxWaitTimeInMs: 1000 });
  assert.equal(received.length, 2);
  for (const message of received) await dead.completeMessage(message);
  const [first] = peeked;
  assert.ok(first?.sequenceNumber);
  assert.equal(
    (await dead.peekMessages(5, { fromSequenceNumber: first.sequenceNumber })).length,
    0,
  );
  await Promise.all([sender.close(), dead.close()]);
});

test('the namespace tells of itself', async () => {
  const { name, messagingSku } = await admin.getNamespaceProperties();
  assert.equal(name, '127');
  assert.equal(messagingSku, 'Standard');
});

test('a wait for the next session ends when the queue is removed', async () => {
  await admin.createQueue('sessions', { requiresSession: true });
  const waiting = client.acceptNextSession('sessions');
  const ended = assert.rejects(waiting, { code: 'MessagingEntityNotFound' });
  await until('it waits', async () => (await admin.queueExists('sessions')) === true);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await admin.deleteQueue('sessions');
  await ended;
});

test('what was made is there after a restart, what was removed is not', async () => {
  await admin.createTopic('kept', {});
  await admin.createSubscription('kept', 'sub', { lockDuration: 'PT20S' });
  await admin.createRule('kept', 'sub', 'one', { sqlExpression: 'a = 1' });
  await admin.createQueue('removed');
  await admin.deleteQueue('removed');
  await shut();
  await open();
  assert.equal((await admin.getSubscription('kept', 'sub')).lockDuration, 'PT20S');
  const rules = await collect(admin.listRules('kept', 'sub'));
  assert.deepEqual(
    rules.map(({ name }) => name),
    ['$Default', 'one'],
  );
  assert.equal(await admin.queueExists('removed'), false);
  assert.equal(await admin.queueExists('declared'), true);
});

test('text is read as XML writes it, by name or by number; Go’s SDK does the latter', async () => {
  await admin.createTopic('escaped');
  await admin.createSubscription('escaped', 's');
  const sql = "colour = 'blue' AND \"size\" <> 'a&#39;b'";
  const byNumber = sql.replace(/[&<>'"]/g, (char) => `&#${char.charCodeAt(0)};`);
  const byHex = sql.replace(/[&<>'"]/g, (char) => `&#x${char.charCodeAt(0).toString(16)};`);
  for (const [name, text] of Object.entries({ byNumber, byHex })) {
    const url = `http://127.0.0.1:${broker.port}/escaped/Subscriptions/s/Rules/${name}?api-version=2021-05`;
    const body = `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><RuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Filter i:type="SqlFilter"><SqlExpression>${text}</SqlExpression></Filter><Name>${name}</Name></RuleDescription></content></entry>`;
    const response = await fetch(url, { method: 'PUT', body });
    assert.equal(response.status, 201, await response.text());
    const { filter } = await admin.getRule('escaped', 's', name);
    assert.deepEqual(filter, { sqlExpression: sql, sqlParameters: undefined });
  }
});
