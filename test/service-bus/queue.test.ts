/** The embedded Service Bus, driven by the unmodified SDK, on both of its stores. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { type Broker, start } from '#service-bus/start.js';

const queues = [
  { name: 'plain', requiresSession: false, maxDeliveryCount: 3, lockDuration: 'PT1S' },
  { name: 'patient', requiresSession: false, lockDuration: 'PT1M' },
  {
    name: 'once',
    requiresSession: false,
    requiresDuplicateDetection: true,
    duplicateDetectionHistoryTimeWindow: 'PT2S',
  },
  { name: 'short-lived', requiresSession: false, deadLetteringOnMessageExpiration: true },
  { name: 'sessions', requiresSession: true, lockDuration: 'PT2S', maxDeliveryCount: 5 },
  { name: 'deep/name with spaces', requiresSession: false },
];

for (const kind of ['memory', 'disk'] as const)
  describe(`on the ${kind} store`, () => {
    let folder: string;
    let broker: Broker;
    let client: ServiceBusClient;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'longhaul-bus-'));
      broker = await start({ queues, data: kind === 'disk' ? folder : undefined });
      client = new ServiceBusClient(broker.connectionString);
    });
    after(async () => {
      await client.close();
      await broker.close();
      await rm(folder, { recursive: true, force: true });
    });

    const take = async (receiver: ServiceBusReceiver, count: number) => {
      const taken: ServiceBusReceivedMessage[] = [];
      while (taken.length < count) {
        const more = await receiver.receiveMessages(count - taken.length, {
          maxWaitTimeInMs: 5000,
        });
        assert.ok(more.length > 0, `waited in vain for message ${taken.length + 1} of ${count}`);
        taken.push(...more);
      }
      return taken;
    };
    const none = async (receiver: ServiceBusReceiver, waitMs = 200) =>
      assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: waitMs }), []);

    test('every kind of body and property comes through as sent', async () => {
      const sender = client.createSender('deep/name with spaces');
      const receiver = client.createReceiver('deep/name with spaces');
      const properties = { text: 'x', whole: 7, real: 1.5, yes: true, when: new Date(86_400_000) };
      await sender.sendMessages({
        body: { nested: [1, 'two'] },
        messageId: 'id-1',
        correlationId: 'c',
        contentType: 'application/json',
        subject: 's',
        replyTo: 'r',
        replyToSessionId: 'rs',
        to: 't',
        timeToLive: 60_000,
        applicationProperties: properties,
      });
      await sender.sendMessages({ body: Buffer.from([0, 1, 255]), messageId: 'id-2' });
      await sender.sendMessages({ body: [1, 2], bodyType: 'sequence' } as never);
      await sender.sendMessages({ body: 'value', bodyType: 'value' } as never);
      const [json, bytes, sequence, value] = await take(receiver, 4);
      assert.deepEqual(json?.body, { nested: [1, 'two'] });
      // The SDK gives an AMQP timestamp as a number.
      assert.deepEqual(json?.applicationProperties, { ...properties, when: 86_400_000 });
      const { correlationId, contentType, subject, replyTo, replyToSessionId, to } = json ?? {};
      assert.deepEqual(
        { correlationId, contentType, subject, replyTo, replyToSessionId, to },
        {
          correlationId: 'c',
          contentType: 'application/json',
          subject: 's',
          replyTo: 'r',
          replyToSessionId: 'rs',
          to: 't',
        },
      );
      assert.equal(json?.timeToLive, 60_000);
      assert.equal(json?.deliveryCount, 0);
      assert.deepEqual([...Buffer.from(bytes?.body as Buffer)], [0, 1, 255]);
      assert.ok(sequence && value && sequence.messageId && value.messageId);
      for (const message of [json, bytes, sequence, value])
        if (message) await receiver.completeMessage(message);
      await none(receiver);
    });

    test('a batch arrives in order, whole', async () => {
      const sender = client.createSender('patient');
      const receiver = client.createReceiver('patient');
      const batch = await sender.createMessageBatch();
      assert.equal(batch.maxSizeInBytes, 262_144);
      for (let n = 0; n < 300; n++) assert.ok(batch.tryAddMessage({ body: n }));
      await sender.sendMessages(batch);
      const taken = await take(receiver, 300);
      assert.deepEqual(
        taken.map(({ body }) => body),
        Array.from({ length: 300 }, (_, n) => n),
      );
      await Promise.all(taken.map((message) => receiver.completeMessage(message)));
      await none(receiver);
    });

    test('a message beyond the limit is refused with MessageSizeExceeded', async () => {
      const sender = client.createSender('patient');
      await assert.rejects(sender.sendMessages({ body: Buffer.alloc(300_000) }), {
        code: 'MessageSizeExceeded',
      });
    });

    test('an unknown queue is MessagingEntityNotFound', async () => {
      await assert.rejects(client.createSender('nowhere').sendMessages({ body: 1 }), {
        code: 'MessagingEntityNotFound',
      });
    });

    test('abandoned, a message comes again with changed properties, and past the limit is dead-lettered', async () => {
      const receiver = client.createReceiver('plain');
      await client.createSender('plain').sendMessages({ body: 'again', messageId: 'again' });
      for (let delivery = 0; delivery < 3; delivery++) {
        const [message] = await take(receiver, 1);
        assert.equal(message?.deliveryCount, delivery);
        assert.equal(
          message?.applicationProperties?.['seen'],
          delivery === 0 ? undefined : delivery,
        );
        if (message) await receiver.abandonMessage(message, { seen: delivery + 1 });
      }
      const letters = client.createReceiver('plain', { subQueueType: 'deadLetter' });
      const [letter] = await take(letters, 1);
      assert.equal(letter?.deadLetterReason, 'MaxDeliveryCountExceeded');
      if (letter) await letters.completeMessage(letter);
      await none(letters);
    });

    test('dead-lettered with reason, description and properties', async () => {
      const receiver = client.createReceiver('patient');
      await client
        .createSender('patient')
        .sendMessages({ body: 'bad', applicationProperties: { a: 1 } });
      const [message] = await take(receiver, 1);
      assert.ok(message);
      await receiver.deadLetterMessage(message, {
        deadLetterReason: 'because',
        deadLetterErrorDescription: 'of this',
        b: 2,
      });
      const letters = client.createReceiver('patient', { subQueueType: 'deadLetter' });
      const [letter] = await take(letters, 1);
      assert.ok(letter);
      assert.equal(letter.deadLetterReason, 'because');
      assert.equal(letter.deadLetterErrorDescription, 'of this');
      assert.equal(letter.deadLetterSource, 'patient');
      assert.equal(letter.applicationProperties?.['a'], 1);
      assert.equal(letter.applicationProperties?.['b'], 2);
      await letters.completeMessage(letter);
    });

    test('deferred, a message is had by its sequence number only', async () => {
      const receiver = client.createReceiver('patient');
      await client.createSender('patient').sendMessages({ body: 'later' });
      const [message] = await take(receiver, 1);
      assert.ok(message?.sequenceNumber);
      await receiver.deferMessage(message);
      await none(receiver);
      const [deferred] = await receiver.receiveDeferredMessages([message.sequenceNumber]);
      assert.equal(deferred?.body, 'later');
      if (deferred) await receiver.completeMessage(deferred);
      await assert.rejects(receiver.receiveDeferredMessages([message.sequenceNumber]), {
        code: 'MessageNotFound',
      });
    });

    test('a lock that is not renewed ends: the message comes again, the old lock is lost', async () => {
      const receiver = client.createReceiver('plain', { maxAutoLockRenewalDurationInMs: 0 });
      await client.createSender('plain').sendMessages({ body: 'expires' });
      const [first] = await take(receiver, 1);
      const [again] = await take(receiver, 1);
      assert.equal(again?.deliveryCount, 1);
      assert.ok(first && again);
      await assert.rejects(receiver.completeMessage(first), { code: 'MessageLockLost' });
      await receiver.completeMessage(again);
    });

    test('a renewed lock holds', async () => {
      const receiver = client.createReceiver('plain', { maxAutoLockRenewalDurationInMs: 0 });
      await client.createSender('plain').sendMessages({ body: 'renewed' });
      const [message] = await take(receiver, 1);
      assert.ok(message);
      for (let n = 0; n < 3; n++) {
        await none(receiver, 500);
        const until = await receiver.renewMessageLock(message);
        assert.ok(until.getTime() > Date.now() + 500);
      }
      await receiver.completeMessage(message);
      await none(receiver, 1200);
    });

    test('duplicates within the window are accepted and dropped, in batches and schedules too', async () => {
      const sender = client.createSender('once');
      const receiver = client.createReceiver('once');
      await sender.sendMessages({ body: 1, messageId: 'd' });
      await sender.sendMessages([
        { body: 2, messageId: 'd' },
        { body: 3, messageId: 'e' },
        { body: 4, messageId: 'e' },
      ]);
      await sender.scheduleMessages({ body: 5, messageId: 'd' }, new Date(Date.now() + 50));
      const taken = await take(receiver, 2);
      assert.deepEqual(
        taken.map(({ body }) => body),
        [1, 3],
      );
      for (const message of taken) await receiver.completeMessage(message);
      await none(receiver, 2100);
      await sender.sendMessages({ body: 6, messageId: 'd' });
      const [after] = await take(receiver, 1);
      assert.equal(after?.body, 6, 'after the window the id is new');
      if (after) await receiver.completeMessage(after);
    });

    test('scheduled messages come at their time, unless cancelled', async () => {
      const sender = client.createSender('patient');
      const receiver = client.createReceiver('patient');
      const due = Date.now() + 400;
      const [, second] = await sender.scheduleMessages(
        [{ body: 'comes' }, { body: 'cancelled' }],
        new Date(due),
      );
      assert.ok(second);
      await sender.cancelScheduledMessages(second);
      await sender.sendMessages({ body: 'same', scheduledEnqueueTimeUtc: new Date(due + 100) });
      const [comes, same] = await take(receiver, 2);
      assert.equal(comes?.body, 'comes');
      assert.equal(same?.body, 'same');
      assert.ok(Date.now() >= due);
      for (const message of [comes, same]) if (message) await receiver.completeMessage(message);
      await assert.rejects(sender.cancelScheduledMessages(second));
    });

    test('past its time to live a message is among the dead letters', async () => {
      await client.createSender('short-lived').sendMessages({ body: 'gone', timeToLive: 50 });
      const letters = client.createReceiver('short-lived', { subQueueType: 'deadLetter' });
      const [letter] = await take(letters, 1);
      assert.equal(letter?.deadLetterReason, 'TTLExpiredException');
      if (letter) await letters.completeMessage(letter);
      await none(client.createReceiver('short-lived'));
    });

    test('peek shows messages without taking them', async () => {
      const sender = client.createSender('patient');
      const receiver = client.createReceiver('patient');
      await sender.sendMessages([{ body: 'p1' }, { body: 'p2' }]);
      const peeked = await receiver.peekMessages(10, { fromSequenceNumber: undefined as never });
      assert.deepEqual(
        peeked.map(({ body }) => body),
        ['p1', 'p2'],
      );
      const taken = await take(receiver, 2);
      for (const message of taken) await receiver.completeMessage(message);
    });

    test('receive-and-delete needs no settlement', async () => {
      await client.createSender('patient').sendMessages([{ body: 1 }, { body: 2 }]);
      const receiver = client.createReceiver('patient', { receiveMode: 'receiveAndDelete' });
      assert.equal((await take(receiver, 2)).length, 2);
      await none(client.createReceiver('patient'));
    });

    test('a session has one receiver, its order and its state', async () => {
      const sender = client.createSender('sessions');
      await sender.sendMessages([1, 2, 3].map((body) => ({ body, sessionId: 'A' })));
      const session = await client.acceptSession('sessions', 'A');
      await assert.rejects(client.acceptSession('sessions', 'A'), {
        code: 'SessionCannotBeLocked',
      });
      const taken = await take(session, 3);
      assert.deepEqual(
        taken.map(({ body }) => body),
        [1, 2, 3],
      );
      await session.setSessionState({ at: 3 });
      if (taken[0]) await session.completeMessage(taken[0]);
      await session.close();
      const next = await client.acceptNextSession('sessions');
      assert.equal(next.sessionId, 'A');
      assert.deepEqual(await next.getSessionState(), { at: 3 });
      const again = await take(next, 2);
      assert.deepEqual(
        again.map(({ body }) => body),
        [2, 3],
      );
      // To close a session is no failure of what was in hand (Learn: impact of delivery count).
      assert.deepEqual(
        again.map(({ deliveryCount }) => deliveryCount),
        [0, 0],
      );
      for (const message of again) await next.completeMessage(message);
      await next.setSessionState(null);
      await next.close();
    });

    test('a session lock that is not renewed is lost', async () => {
      await client.createSender('sessions').sendMessages({ body: 1, sessionId: 'B' });
      const session = await client.acceptSession('sessions', 'B', {
        maxAutoLockRenewalDurationInMs: 0,
      });
      const [message] = await take(session, 1);
      assert.ok(message);
      const next = await client.acceptNextSession('sessions');
      assert.equal(next.sessionId, 'B');
      await assert.rejects(session.completeMessage(message), { code: 'SessionLockLost' });
      const [again] = await take(next, 1);
      assert.equal(again?.deliveryCount, 1);
      if (again) await next.completeMessage(again);
      await next.close();
    });

    test('who waits for the next session gets it when it comes', async () => {
      const waiting = client.acceptNextSession('sessions');
      await client.createSender('sessions').sendMessages({ body: 'late', sessionId: 'C' });
      const session = await waiting;
      assert.equal(session.sessionId, 'C');
      const [message] = await take(session, 1);
      if (message) await session.completeMessage(message);
      await session.close();
    });

    test('a message without a session id is refused where sessions are required', async () => {
      await assert.rejects(client.createSender('sessions').sendMessages({ body: 1 }), /SessionId/);
      await assert.rejects(client.createReceiver('sessions').receiveMessages(1));
      await assert.rejects(client.acceptSession('patient', 'x'));
    });

    test('a round trip takes no 40 ms: nothing waits for a delayed acknowledgement', async () => {
      const sender = client.createSender('patient');
      const receiver = client.createReceiver('patient');
      const times: number[] = [];
      let sent = 0;
      let resolve: () => void = () => undefined;
      const subscription = receiver.subscribe({
        processMessage: async () => {
          times.push(performance.now() - sent);
          resolve();
        },
        processError: async ({ error }) => assert.fail(error),
      });
      for (let n = 0; n < 60; n++) {
        const arrived = new Promise<void>((done) => {
          resolve = done;
        });
        sent = performance.now();
        await sender.sendMessages({ body: n });
        await arrived;
      }
      await subscription.close();
      await receiver.close();
      const median = times.sort((a, b) => a - b)[30] ?? 0;
      assert.ok(median < 20, `median ${median} ms`);
    });
  });
