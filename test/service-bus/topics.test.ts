/** Topics, subscriptions, rules and forwarding, driven by the unmodified SDK. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type CorrelationRuleFilter,
  ServiceBusClient,
  type ServiceBusMessage,
  type ServiceBusReceivedMessage,
} from '@azure/service-bus';
import { type Broker, start } from '#service-bus/start.js';

let broker: Broker;
let client: ServiceBusClient;

before(async () => {
  broker = await start({
    queues: [
      { name: 'target' },
      { name: 'graves' },
      { name: 'forwarding', forwardTo: 'target' },
      { name: 'burying', forwardDeadLetteredMessagesTo: 'graves' },
      { name: 'lost', forwardTo: 'nowhere' },
      { name: 'shut', status: 'SendDisabled' as const },
      { name: 'refused', forwardTo: 'shut' },
      { name: 'wary', requiresDuplicateDetection: true },
      { name: 'to-wary', forwardTo: 'wary' },
      ...[1, 2, 3, 4, 5].map((n) => ({ name: `hop${n}`, forwardTo: `hop${n + 1}` })),
      { name: 'hop6' },
    ],
    topics: [
      {
        name: 'news',
        subscriptions: [
          { name: 'all' },
          {
            name: 'big',
            rules: [{ name: 'amount', sqlFilter: { sqlExpression: 'amount > 100' } }],
          },
          {
            name: 'red',
            rules: [
              { name: 'colour', correlationFilter: { label: 'red', properties: { size: 3 } } },
            ],
          },
          {
            name: 'changed',
            rules: [
              {
                name: 'tax',
                sqlFilter: { sqlExpression: 'EXISTS(amount)' },
                action: {
                  sqlExpression:
                    "SET taxed = amount * 1.21; REMOVE secret; SET sys.Label = 'taxed'",
                },
              },
            ],
          },
          { name: 'ordered', requiresSession: true },
          { name: 'onward', forwardTo: 'target' },
        ],
      },
      { name: 'once', requiresDuplicateDetection: true, subscriptions: [{ name: 'all' }] },
      { name: 'later', subscriptions: [{ name: 'all' }] },
      { name: 'managed', subscriptions: [{ name: 'rules' }] },
    ],
  });
  client = new ServiceBusClient(broker.connectionString);
});
after(async () => {
  await client.close();
  await broker.close();
});

async function send(to: string, ...messages: ServiceBusMessage[]) {
  const sender = client.createSender(to);
  await sender.sendMessages(messages);
  await sender.close();
}

type From = [queue: string] | [topic: string, subscription: string];

async function takeAll(from: From, waitMs = 300): Promise<ServiceBusReceivedMessage[]> {
  const options = { receiveMode: 'receiveAndDelete' } as const;
  const [queue, subscription] = from;
  const receiver =
    subscription === undefined
      ? client.createReceiver(queue, options)
      : client.createReceiver(queue, subscription, options);
  const taken: ServiceBusReceivedMessage[] = [];
  for (;;) {
    const some = await receiver.receiveMessages(50, { maxWaitTimeInMs: waitMs });
    if (some.length === 0) break;
    taken.push(...some);
  }
  await receiver.close();
  return taken;
}

const bodies = (messages: ServiceBusReceivedMessage[]) => messages.map(({ body }) => body);

test('each subscription gets what its rules take, as its actions make it', async () => {
  await send(
    'news',
    { body: 'small', subject: 'red', applicationProperties: { amount: 10, size: 3, secret: 'x' } },
    { body: 'large', subject: 'blue', applicationProperties: { amount: 200, size: 3 } },
    { body: 'none', subject: 'red', applicationProperties: { size: 4 }, sessionId: 's' },
  );
  assert.deepEqual(bodies(await takeAll(['news', 'all'])), ['small', 'large', 'none']);
  assert.deepEqual(bodies(await takeAll(['news', 'big'])), ['large']);
  assert.deepEqual(bodies(await takeAll(['news', 'red'])), ['small']);
  const changed = await takeAll(['news', 'changed']);
  assert.deepEqual(bodies(changed), ['small', 'large']);
  assert.equal(changed[0]?.subject, 'taxed');
  assert.deepEqual(changed[0]?.applicationProperties, { amount: 10, size: 3, taxed: 12.1 });
  const session = await client.acceptNextSession('news', 'ordered', {
    maxAutoLockRenewalDurationInMs: 0,
  });
  assert.deepEqual(bodies(await session.receiveMessages(5, { maxWaitTimeInMs: 300 })), ['none']);
  await session.close();
  assert.deepEqual(bodies(await takeAll(['target'])), ['small', 'large', 'none']);
});

test('each subscription settles for itself: locks, dead letters, counts', async () => {
  await send('once', { body: 1, messageId: 'a' }, { body: 2, messageId: 'a' });
  const receiver = client.createReceiver('once', 'all');
  const [message] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 500 });
  assert.ok(message);
  assert.equal(message.body, 1, 'the duplicate never came');
  await receiver.deadLetterMessage(message, {
    deadLetterReason: 'why',
    deadLetterErrorDescription: 'so',
  });
  const dead = client.createReceiver('once', 'all', { subQueueType: 'deadLetter' });
  const [buried] = await dead.receiveMessages(1, { maxWaitTimeInMs: 500 });
  assert.equal(buried?.deadLetterReason, 'why');
  assert.equal(buried?.deadLetterSource, 'once/Subscriptions/all');
  await Promise.all([receiver.close(), dead.close()]);
});

test('a scheduled message waits in the topic, is seen in the subscription, and can be cancelled', async () => {
  const sender = client.createSender('later');
  const at = new Date(Date.now() + 60_000);
  const [kept, gone] = await sender.scheduleMessages([{ body: 'kept' }, { body: 'gone' }], at);
  assert.ok(kept && gone);
  await sender.cancelScheduledMessages(gone);
  const receiver = client.createReceiver('later', 'all');
  const peeked = await receiver.peekMessages(5);
  assert.deepEqual(
    peeked.map(({ body, state }) => [body, state]),
    [['kept', 'scheduled']],
  );
  const [soon] = await sender.scheduleMessages([{ body: 'soon' }], new Date(Date.now() + 400));
  assert.ok(soon);
  assert.deepEqual(bodies(await receiver.receiveMessages(1, { maxWaitTimeInMs: 3000 })), ['soon']);
  await Promise.all([sender.close(), receiver.close()]);
});

test('a topic is not received from, a subscription not sent to', async () => {
  const wrong = { code: 'GeneralError', retryable: false };
  await assert.rejects(
    client.createReceiver('news').receiveMessages(1, { maxWaitTimeInMs: 500 }),
    wrong,
  );
  await assert.rejects(send('news/Subscriptions/all', { body: 1 }), wrong);
  await assert.rejects(
    client.createReceiver('news', 'nobody').receiveMessages(1, { maxWaitTimeInMs: 500 }),
    { code: 'MessagingEntityNotFound' },
  );
});

test('rules are listed, made and removed by the rule manager', async () => {
  const rules = client.createRuleManager('managed', 'rules');
  const list = async () => {
    const found = [];
    for await (const rule of rules.listRules()) found.push(rule);
    return found;
  };
  assert.deepEqual(
    (await list()).map(({ name, filter }) => [name, filter]),
    [['$Default', { sqlExpression: '1=1' }]],
  );
  await rules.deleteRule('$Default');
  await rules.createRule(
    'sql',
    { sqlExpression: "colour = 'red'" },
    { sqlExpression: 'SET seen = 1' },
  );
  await rules.createRule('fields', { subject: 'x', applicationProperties: { n: 5 } });
  const [fields, sql] = (await list()).sort((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(sql?.filter, { sqlExpression: "colour = 'red'" });
  assert.deepEqual(sql?.action, { sqlExpression: 'SET seen = 1' });
  const { subject, applicationProperties } = (fields?.filter ?? {}) as CorrelationRuleFilter;
  assert.deepEqual([subject, applicationProperties], ['x', { n: 5 }]);
  await assert.rejects(rules.createRule('sql', { sqlExpression: '1=1' }), {
    code: 'MessagingEntityAlreadyExists',
  });
  await assert.rejects(rules.createRule('bad', { sqlExpression: 'a = = b' }), { retryable: false });
  await assert.rejects(rules.deleteRule('none'), { code: 'MessagingEntityNotFound' });
  await send(
    'managed',
    { body: 1, applicationProperties: { colour: 'red' } },
    { body: 2, subject: 'x', applicationProperties: { n: 5 } },
    { body: 3, subject: 'x' },
  );
  const taken = await takeAll(['managed', 'rules']);
  assert.deepEqual(bodies(taken), [1, 2]);
  assert.deepEqual(taken[0]?.applicationProperties, { colour: 'red', seen: 1 });
});

test('a queue forwards what it gets, and another its dead letters', async () => {
  await send('forwarding', { body: 'moved', messageId: 'm' });
  const [moved] = await takeAll(['target']);
  assert.equal(moved?.body, 'moved');
  assert.equal(moved?.messageId, 'm');
  assert.equal(moved?.deliveryCount, 0);
  await assert.rejects(
    client.createReceiver('forwarding').receiveMessages(1, { maxWaitTimeInMs: 500 }),
    /forwards its messages/,
  );
  await send('burying', { body: 'dead' });
  const receiver = client.createReceiver('burying');
  const [once] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 500 });
  assert.ok(once);
  await receiver.abandonMessage(once);
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 500 });
  assert.equal(message?.deliveryCount, 1);
  await receiver.deadLetterMessage(message, {
    deadLetterReason: 'why',
    deadLetterErrorDescription: 'so',
  });
  await receiver.close();
  const [buried] = await takeAll(['graves']);
  assert.equal(buried?.body, 'dead');
  assert.equal(buried?.deadLetterReason, 'why');
  assert.equal(buried?.deadLetterSource, 'burying');
  assert.equal(buried?.deliveryCount, 0, 'those of another queue do not count');
});

test('a duplicate that is forwarded is one in the queue it comes to', async () => {
  await send('to-wary', { body: 1, messageId: 'same' }, { body: 2, messageId: 'same' });
  await send('wary', { body: 3, messageId: 'same' });
  assert.deepEqual(bodies(await takeAll(['wary'])), [1]);
});

test('four hops are gone, the fifth and a missing target are told of', async () => {
  await send('hop2', { body: 'four' });
  assert.deepEqual(bodies(await takeAll(['hop6'])), ['four']);
  await send('hop1', { body: 'five' });
  await send('lost', { body: 'gone' });
  await send('refused', { body: 'kept back' });
  assert.deepEqual(bodies(await takeAll(['hop6'])), []);
  for (const [queue, body] of [
    ['hop5', 'five'],
    ['lost', 'gone'],
    ['refused', 'kept back'],
  ] as const) {
    const transfer = client.createReceiver(queue, {
      subQueueType: 'transferDeadLetter',
      receiveMode: 'receiveAndDelete',
    });
    const [message] = await transfer.receiveMessages(1, { maxWaitTimeInMs: 500 });
    assert.equal(message?.body, body);
    assert.equal(message?.deadLetterReason, 'ForwardingFailed');
    await transfer.close();
  }
});
