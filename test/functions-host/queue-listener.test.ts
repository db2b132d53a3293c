/** One queue of the local host, its connection cut while its function runs. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import Long from 'long';
import { Outage } from '#dev/functions-host/host/outage.js';
import { QueueListener } from '#dev/functions-host/host/queue-listener.js';
import { Settlement } from '#dev/functions-host/host/settlement.js';
import type { InvocationRequest } from '#dev/functions-host/worker/core-module.js';
import { brokerProcess } from '../support/broker.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Call {
  messageId: unknown;
  /** The function returns. */
  returns(): void;
}

async function listening(lockDuration: string, { autoComplete }: { autoComplete: boolean }) {
  const broker = await brokerProcess({ queues: [{ name: 'q', lockDuration }] });
  const proxy = await startProxy(broker.port);
  const own = new ServiceBusClient(broker.connectionString);
  const through = broker.connectionString.replace(`:${broker.port}`, `:${proxy.port}`);
  const connect = () => {
    const retryOptions = { maxRetries: 3, retryDelayInMs: 100, maxRetryDelayInMs: 500 };
    const client = new ServiceBusClient(through, { retryOptions });
    ends.push(() => client.close());
    return client;
  };
  ends.push(
    () => broker.remove(),
    () => proxy.close(),
    () => own.close(),
  );
  const calls: Call[] = [];
  const invoke = (_: unknown, { triggerMetadata = {} }: InvocationRequest) =>
    new Promise<void>((returns) => {
      const { MessageId: id } = triggerMetadata as { MessageId?: { json: string } };
      calls.push({ messageId: JSON.parse(id?.json ?? 'null'), returns });
    });
  const log = () => undefined;
  const serviceBus = {
    ...{ maxConcurrentCalls: 8, maxConcurrentSessions: 8, maxMessageBatchSize: 10 },
    ...{ maxAutoLockRenewalDuration: 600_000, sessionIdleTimeout: 1_000, prefetchCount: 0 },
    autoCompleteMessages: true,
  };
  const listener = new QueueListener(
    {
      ...{ target: { metadata: { name: 'f' } } as never, binding: 'm', queueName: 'q' },
      ...{ connection: 'ServiceBus', isSessionsEnabled: false, sdkBinding: true, many: false },
      autoComplete,
    },
    {
      ...{ client: connect(), tokens: connect(), settlement: new Settlement() },
      ...{ invoke, log, settings: {} },
      outage: new Outage('ServiceBus', log),
      hostJson: { extensions: { serviceBus } } as never,
    },
  );
  listener.start();
  const called = (messageId: string, times = 1) =>
    until(`call ${times} of ${messageId}`, () => {
      const found = calls.filter((call) => call.messageId === messageId);
      return found[times - 1];
    });
  ends.push(async () => {
    for (const { returns } of calls) returns();
    await listener.stop();
  });
  return { own, proxy, calls, called };
}

test('a message whose link died while its function ran is settled all the same, at once', async () => {
  const { own, proxy, called } = await listening('PT5S', { autoComplete: true });
  const sender = own.createSender('q');
  await sender.sendMessages({ messageId: 'first', body: 1 });
  const first = await called('first');
  proxy.cut();
  await sender.sendMessages({ messageId: 'second', body: 2 });
  // The listener has made a new link.
  const second = await called('second');
  first.returns();
  second.returns();
  const left = own.createReceiver('q');
  await until(
    'both settled',
    async () => (await left.peekMessages(10, { fromSequenceNumber: Long.ZERO })).length === 0,
    8_000,
  );
});

test('what a function leaves unsettled is locked no longer than its lock lasts', async () => {
  const { own, called, calls } = await listening('PT5S', { autoComplete: false });
  await own.createSender('q').sendMessages({ messageId: 'left', body: 1 });
  const first = await called('left');
  // Longer than the lock: it is renewed while the function runs.
  await pause(7_000);
  assert.equal(calls.length, 1);
  first.returns();
  await called('left', 2);
});
