/** The steps of a scenario with the JavaScript SDK, by a client for each scenario. */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import {
  isServiceBusError,
  type ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSessionReceiver,
} from '@azure/service-bus';
import Long from 'long';
import type { Brief } from '../brief.ts';
import type { InSession, Peeked, Step, Taken } from '../steps.ts';
import { administer, manageRules } from './administration.ts';
import { clientOf } from './client.ts';
import { check, made } from './messages.ts';

type Of<Do extends Step['do']> = Extract<Step, { do: Do }>;
type From = { from: string; sub?: 'dead' | 'transfer'; deletes?: true };

const patienceMs = 10_000;
// Long enough for what is there to come, on a machine that is busy.
const emptyMs = 500;
const ownRenewal = { maxAutoLockRenewalDurationInMs: 0 };

export class SdkScenario {
  readonly #brief: Brief;
  readonly #restart: () => Promise<void>;
  readonly #kept = new Map<string, Long[]>();
  #client: ServiceBusClient;

  constructor(brief: Brief, restart: () => Promise<void>) {
    this.#brief = brief;
    this.#restart = restart;
    this.#client = clientOf(brief);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'send':
      case 'large':
      case 'fill':
      case 'schedule':
      case 'cancel':
        return this.#send(step);
      case 'wait':
        return wait(step.ms);
      case 'receive':
      case 'outlast':
      case 'renewed':
      case 'deferred':
      case 'peek':
      case 'empty':
        return this.#with(step, (receiver) => this.#look(receiver, step));
      case 'session':
        return this.#session(step);
      case 'rules':
        return manageRules(this.#client, step);
      case 'administer':
        return administer(this.#brief, step);
      case 'error':
        return this.#error(step);
      case 'restart':
        await this.close();
        await this.#restart();
        this.#client = clientOf(this.#brief);
        return;
      default:
        throw new Error(`The SDK has no call for ${step.do}.`);
    }
  }

  async #send(step: Of<'send' | 'large' | 'fill' | 'schedule' | 'cancel'>): Promise<void> {
    const sender = this.#client.createSender(step.to);
    try {
      if (step.do === 'large') await sender.sendMessages({ body: Buffer.alloc(step.bytes, 'x') });
      else if (step.do === 'cancel') await sender.cancelScheduledMessages(this.#numbers(step.kept));
      else if (step.do === 'fill') {
        const batch = await sender.createMessageBatch();
        while (batch.tryAddMessage({ body: Buffer.alloc(step.bytes) }));
        await sender.sendMessages(batch);
      } else if (step.do === 'schedule') {
        const at = new Date(Date.now() + step.afterMs);
        this.#kept.set(step.keep, await sender.scheduleMessages(made(step.message), at));
      } else if (step.batch) {
        const batch = await sender.createMessageBatch();
        for (const message of step.messages) assert.ok(batch.tryAddMessage(made(message)));
        await sender.sendMessages(batch);
      } else for (const message of step.messages) await sender.sendMessages(made(message));
    } finally {
      await sender.close();
    }
  }

  #receiver({ from, sub, deletes }: From): ServiceBusReceiver {
    const subQueueType = { dead: 'deadLetter', transfer: 'transferDeadLetter' } as const;
    const options = {
      ...ownRenewal,
      ...{ skipParsingBodyAsJson: true, receiveMode: deletes ? 'receiveAndDelete' : 'peekLock' },
      ...(sub ? { subQueueType: subQueueType[sub] } : {}),
    } as const;
    const [entity = '', subscription] = from.split('/');
    return subscription === undefined
      ? this.#client.createReceiver(entity, options as never)
      : this.#client.createReceiver(entity, subscription, options as never);
  }

  async #with(from: From, act: (receiver: ServiceBusReceiver) => Promise<void>): Promise<void> {
    const receiver = this.#receiver(from);
    try {
      await act(receiver);
    } finally {
      await receiver.close();
    }
  }

  /** What is done with a receiver, of a session or not. */
  async #look(of: ServiceBusReceiver, step: Step | InSession): Promise<void> {
    switch (step.do) {
      case 'receive':
        return this.#take(of, step);
      case 'peek':
        return this.#peek(of, step);
      case 'deferred': {
        const messages = await of.receiveDeferredMessages(this.#numbers(step.kept));
        // It answers with none when one is not there.
        if (!step.expect) assert.ok(messages.length > 0, 'none');
        check(messages, step.expect);
        for (const message of messages) await of.completeMessage(message);
        return;
      }
      case 'empty':
        return assert.deepEqual(await of.receiveMessages(1, { maxWaitTimeInMs: emptyMs }), []);
      case 'renewed': {
        const [message] = await received(of, 1);
        assert.ok(message?.lockedUntilUtc);
        const before = message.lockedUntilUtc;
        assert.ok((await of.renewMessageLock(message)) >= before, 'the lock is longer');
        return of.completeMessage(message);
      }
      case 'outlast': {
        const [message] = await received(of, 1);
        assert.ok(message?.lockedUntilUtc);
        await pass(message.lockedUntilUtc);
        return of.completeMessage(message);
      }
      default:
        throw new Error(`unknown: ${step.do}`);
    }
  }

  async #take(of: ServiceBusReceiver, step: Taken & { count: number }): Promise<void> {
    const messages = await received(of, step.count);
    check(messages, step.expect);
    if (step.keep)
      this.#kept.set(
        step.keep,
        messages.map(({ sequenceNumber }) => sequenceNumber ?? Long.ZERO),
      );
    if (!step.deletes) for (const message of messages) await settle(of, message, step);
  }

  async #peek(of: ServiceBusReceiver, step: Peeked): Promise<void> {
    const [fromSequenceNumber] = step.start ? this.#numbers(step.start) : [];
    const from = fromSequenceNumber ? { fromSequenceNumber } : {};
    const messages = await of.peekMessages(step.count, from);
    assert.equal(messages.length, step.expect.length, 'messages');
    check(messages, step.expect);
  }

  async #session({ from, id, steps }: Of<'session'>): Promise<void> {
    const options = { ...ownRenewal, skipParsingBodyAsJson: true };
    const held =
      id === undefined
        ? await this.#client.acceptNextSession(from, options)
        : await this.#client.acceptSession(from, id, options);
    try {
      for (const step of steps) {
        const isOuter = 'from' in step || 'to' in step || step.do === 'error';
        if (isOuter) await this.run(step as Step);
        else await this.#within(held, step as InSession);
      }
    } finally {
      await held.close();
    }
  }

  async #within(held: ServiceBusSessionReceiver, step: InSession): Promise<void> {
    switch (step.do) {
      case 'id':
        return assert.equal(held.sessionId, step.is);
      case 'set':
        return held.setSessionState(step.state);
      case 'get':
        return assert.equal((await held.getSessionState()) ?? null, step.state);
      case 'renew':
        return assert.ok((await held.renewSessionLock()) > new Date(), 'the lock is over');
      case 'outlast':
        if (step.settles) return this.#look(held, step);
        await pass(held.sessionLockedUntilUtc);
        return void (await held.getSessionState());
      default:
        return this.#look(held, step);
    }
  }

  async #error({ step, reason }: Of<'error'>): Promise<void> {
    const fault: unknown = await this.run(step).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(fault, 'no error');
    if (!reason) return;
    assert.ok(isServiceBusError(fault as Error), `${reason}: ${fault}`);
    assert.equal((fault as { code: string }).code, reason);
  }

  #numbers(kept: string): Long[] {
    const numbers = this.#kept.get(kept);
    assert.ok(numbers, `nothing is kept as ${kept}`);
    return numbers;
  }
}

const pass = (until: Date) => wait(Math.max(0, until.getTime() - Date.now() + 1500));

async function received(
  of: ServiceBusReceiver,
  count: number,
): Promise<ServiceBusReceivedMessage[]> {
  const messages: ServiceBusReceivedMessage[] = [];
  while (messages.length < count) {
    const missing = count - messages.length;
    const some = await of.receiveMessages(missing, { maxWaitTimeInMs: patienceMs });
    assert.ok(some.length > 0, `waited in vain for message ${messages.length + 1}`);
    messages.push(...some);
  }
  return messages;
}

function settle(
  of: ServiceBusReceiver,
  message: ServiceBusReceivedMessage,
  { settle: how, changes = {} }: Taken,
): Promise<void> {
  if (how === 'abandon') return of.abandonMessage(message, changes);
  if (how === 'defer') return of.deferMessage(message, changes);
  if (how !== 'dead') return of.completeMessage(message);
  return of.deadLetterMessage(message, {
    deadLetterReason: 'because',
    deadLetterErrorDescription: 'of this',
  });
}
