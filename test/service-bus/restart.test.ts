import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-bus-'));
  const queue = { lockDuration: 'PT1M', requiresDuplicateDetection: true };
  await writeFile(
    join(folder, 'topology.json'),
    JSON.stringify({
      queues: [
        { name: 'plain', ...queue },
        { name: 'sessions', requiresSession: true, ...queue },
      ],
    }),
  );
});

after(() => rm(folder, { recursive: true, force: true }));

async function broker(...more: string[]) {
  const child = fork(new URL(import.meta.resolve('#service-bus/process.js')), [
    '--topology',
    join(folder, 'topology.json'),
    '--data',
    join(folder, 'data'),
    '--port',
    '0',
    ...more,
  ]);
  const [{ ready }] = (await once(child, 'message')) as [{ ready: { connectionString: string } }];
  const client = new ServiceBusClient(ready.connectionString, { retryOptions: { maxRetries: 0 } });
  return {
    client,
    async kill() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      // Or it would look for its broker until the end of the test run.
      await client.close();
    },
  };
}

test('what was acknowledged survives SIGKILL: messages, counts, schedules, state, duplicates', async () => {
  const first = await broker();
  const sender = first.client.createSender('plain');
  await sender.sendMessages([
    { body: 'done', messageId: 'done' },
    { body: 'locked', messageId: 'locked' },
    { body: 'deferred', messageId: 'deferred' },
    { body: 'bad', messageId: 'bad' },
    { body: 'waiting', messageId: 'waiting' },
  ]);
  const receiver = first.client.createReceiver('plain');
  const [done, locked, deferred, bad] = await receiver.receiveMessages(4, {
    maxWaitTimeInMs: 2000,
  });
  assert.ok(done && locked && deferred?.sequenceNumber && bad);
  // A delivery does not wait until it is written; what is answered does.
  await receiver.renewMessageLock(locked);
  await receiver.completeMessage(done);
  await receiver.deferMessage(deferred);
  await receiver.deadLetterMessage(bad, {
    deadLetterReason: 'bad',
    deadLetterErrorDescription: 'no good',
  });
  const due = Date.now() + 1500;
  await sender.scheduleMessages({ body: 'scheduled', messageId: 'scheduled' }, new Date(due));
  await first.client
    .createSender('sessions')
    .sendMessages([1, 2].map((body) => ({ body, sessionId: 'S' })));
  const session = await first.client.acceptSession('sessions', 'S');
  await session.setSessionState({ n: 7 });
  await first.kill();

  const second = await broker('--release-locks');
  const again = second.client.createSender('plain');
  await again.sendMessages({ body: 'done again', messageId: 'done' });
  const next = second.client.createReceiver('plain');
  const taken: [unknown, number | undefined][] = [];
  while (taken.length < 3)
    for (const message of await next.receiveMessages(3, { maxWaitTimeInMs: 5000 })) {
      taken.push([message.body, message.deliveryCount]);
      await next.completeMessage(message);
    }
  assert.deepEqual(taken, [
    ['locked', 1],
    ['waiting', 0],
    ['scheduled', 0],
  ]);
  assert.ok(Date.now() >= due);
  const [still] = await next.receiveDeferredMessages([deferred.sequenceNumber]);
  assert.equal(still?.body, 'deferred');
  const letters = second.client.createReceiver('plain', { subQueueType: 'deadLetter' });
  const [letter] = await letters.receiveMessages(1, { maxWaitTimeInMs: 2000 });
  assert.equal(letter?.deadLetterReason, 'bad');
  const taker = await second.client.acceptSession('sessions', 'S');
  assert.deepEqual(await taker.getSessionState(), { n: 7 });
  const kept = await taker.receiveMessages(2, { maxWaitTimeInMs: 2000 });
  assert.deepEqual(
    kept.map(({ body }) => body),
    [1, 2],
  );
  await second.kill();
});

test('a lock goes on over a restart unless all are released', async () => {
  const first = await broker();
  await first.client.createSender('plain').sendMessages({ body: 'held', messageId: 'held' });
  const holder = first.client.createReceiver('plain');
  const [message] = await holder.receiveMessages(1, { maxWaitTimeInMs: 2000 });
  assert.equal(message?.body, 'held');
  await holder.renewMessageLock(message);
  await first.kill();
  const second = await broker();
  const receiver = second.client.createReceiver('plain');
  assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 300 }), []);
  await second.kill();
});
