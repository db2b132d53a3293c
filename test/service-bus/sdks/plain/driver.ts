/** The steps of a scenario by a plain client, on one connection for each scenario. */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { Connection, Receiver } from 'rhea';
import rhea from 'rhea';
import { longs, types, uuids } from '../../../support/requests.ts';
import type { Brief } from '../brief.ts';
import type { InSession, Peeked, Reason, Seen, Step, Taken } from '../steps.ts';
import {
  AmqpFault,
  asked,
  connected,
  type Delivered,
  deliver,
  int,
  manage,
  openReceiver,
  openSender,
  received,
  settled,
} from './client.ts';
import { check, lockedUntil, made, numberOf } from './messages.ts';
import { addRule, ruleNames } from './rules.ts';
import { transact } from './transactions.ts';

type Of<Do extends Step['do']> = Extract<Step, { do: Do }>;

const patienceMs = 10_000;
// Long enough for what is there to come, on a machine that is busy.
const emptyMs = 500;
// Of a message that is a batch.
const batchFormat = 0x80013700;
const parts = { dead: '$DeadLetterQueue', transfer: '$Transfer/$DeadLetterQueue' } as const;
const conditions: Record<Reason, string> = {
  MessageLockLost: 'com.microsoft:message-lock-lost',
  MessageNotFound: 'com.microsoft:message-not-found',
  MessageSizeExceeded: 'amqp:link:message-size-exceeded',
  MessagingEntityDisabled: 'com.microsoft:entity-disabled',
  MessagingEntityNotFound: 'amqp:not-found',
  QuotaExceeded: 'amqp:resource-limit-exceeded',
  SessionCannotBeLocked: 'com.microsoft:session-cannot-be-locked',
  SessionLockLost: 'com.microsoft:session-lock-lost',
};

const addressOf = (from: string, sub?: 'dead' | 'transfer'): string => {
  const path = from.replace('/', '/Subscriptions/');
  return sub ? `${path}/${parts[sub]}` : path;
};

export class PlainScenario {
  readonly #brief: Brief;
  readonly #restart: () => Promise<void>;
  readonly #kept = new Map<string, number[]>();
  #connection: Connection;

  constructor(brief: Brief, restart: () => Promise<void>) {
    this.#brief = brief;
    this.#restart = restart;
    this.#connection = connected(brief);
  }

  close(): void {
    this.#connection.close();
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'send':
      case 'large':
      case 'schedule':
      case 'cancel':
        return this.#send(step);
      case 'receive':
        return this.#receive(step);
      case 'outlast':
      case 'renewed':
      case 'settle late':
        return this.#lock(step);
      case 'deferred':
      case 'peek':
      case 'purge':
      case 'sessions':
      case 'rules':
        return this.#ask(step);
      case 'empty':
        return this.#empty(step);
      case 'session':
        return this.#session(step);
      case 'transaction':
        return transact(this.#connection, step);
      case 'wait':
        return wait(step.ms);
      case 'fill':
        throw new Error('To a plain AMQP client a batch is one message.');
      case 'mark':
        await wait(5);
        this.#kept.set(step.keep, [Date.now()]);
        return;
      case 'error':
        return this.#error(step);
      case 'restart':
        return this.#again();
      case 'administer':
        throw new Error('A plain AMQP client has no administration.');
    }
  }

  async #again(): Promise<void> {
    this.#connection.close();
    await this.#restart();
    this.#connection = connected(this.#brief);
  }

  async #send(step: Of<'send' | 'large' | 'schedule' | 'cancel'>): Promise<void> {
    if (step.do === 'schedule') return this.#schedule(step);
    if (step.do === 'cancel') {
      const requests = await manage(this.#connection, step.to);
      const numbers = longs(this.#numbers(step.kept));
      await asked(requests, 'cancel-scheduled-message', { 'sequence-numbers': numbers });
      return;
    }
    const sender = await openSender(this.#connection, step.to);
    try {
      if (step.do === 'large') {
        const body = rhea.message.data_section(Buffer.alloc(step.bytes, 'x'));
        await deliver(sender, { body });
      } else if (step.batch) await deliver(sender, batchOf(step), { format: batchFormat });
      else for (const message of step.messages) await deliver(sender, made(message));
    } finally {
      sender.close();
    }
  }

  async #schedule({ to, message, afterMs, keep }: Of<'schedule'>): Promise<void> {
    const at = types.wrap_timestamp(Date.now() + afterMs);
    const scheduled = {
      ...made(message),
      message_annotations: { 'x-opt-scheduled-enqueue-time': at },
    };
    const bytes = rhea.message.encode(scheduled as never);
    const messages = [{ 'message-id': 'one', message: types.wrap_binary(bytes as never) }];
    const body = await asked(await manage(this.#connection, to), 'schedule-message', { messages });
    this.#kept.set(keep, body['sequence-numbers']);
  }

  async #receive({ from, sub, ...step }: Of<'receive'>): Promise<void> {
    const ask = { deletes: step.deletes };
    const receiver = await openReceiver(this.#connection, addressOf(from, sub), ask);
    try {
      await this.#take(receiver, step);
    } finally {
      receiver.close();
    }
  }

  async #take(receiver: Receiver, step: Taken & { count: number }): Promise<void> {
    const all = await received(receiver, step.count, patienceMs);
    assert.equal(all.length, step.count, 'messages');
    const messages = all.map(({ message }) => message);
    check(messages, step.expect);
    if (step.keep) this.#kept.set(step.keep, messages.map(numberOf));
    if (!step.deletes) for (const one of all) await settled(one, () => settle(one, step));
  }

  async #empty({ from, sub }: Of<'empty'>): Promise<void> {
    const receiver = await openReceiver(this.#connection, addressOf(from, sub));
    try {
      assert.deepEqual(await received(receiver, 1, emptyMs), []);
    } finally {
      receiver.close();
    }
  }

  async #lock(step: Of<'outlast' | 'renewed' | 'settle late'>): Promise<void> {
    const receiver = await openReceiver(this.#connection, step.from);
    try {
      const [one] = await received(receiver, 1, patienceMs);
      assert.ok(one, 'a message');
      if (step.do === 'outlast') await wait(lockedUntil(one.message) - Date.now() + 1500);
      if (step.do === 'settle late') return await this.#settleLate(step.from, receiver, one);
      if (step.do === 'renewed') {
        const requests = await manage(this.#connection, step.from);
        const token = { 'lock-tokens': uuids([tokenOf(one)]) };
        const { expirations } = await asked(requests, 'renew-lock', token);
        assert.ok(Number(expirations[0]) >= lockedUntil(one.message), 'the lock is longer');
      }
      await settled(one, () => one.delivery.accept());
    } finally {
      receiver.close();
    }
  }

  async #settleLate(from: string, receiver: Receiver, one: Delivered): Promise<void> {
    receiver.close();
    await asked(await manage(this.#connection, from), 'update-disposition', {
      'disposition-status': 'completed',
      'lock-tokens': uuids([tokenOf(one)]),
    });
  }

  async #ask(step: Of<'deferred' | 'peek' | 'purge' | 'sessions' | 'rules'>): Promise<void> {
    const sub = step.do === 'peek' ? step.sub : undefined;
    const entity = addressOf('of' in step ? step.of : step.from, sub);
    const requests = await manage(this.#connection, entity);
    if (step.do === 'deferred') return this.#deferred(entity, step);
    if (step.do === 'peek') return this.#peek(entity, step);
    if (step.do === 'purge') {
      const body = await asked(requests, 'batch-delete-messages', {
        'message-count': int(step.count),
        'enqueued-time-utc': types.wrap_timestamp(Date.now() + 60_000),
      });
      assert.equal(body?.['message-count'] ?? 0, step.expect);
    } else if (step.do === 'sessions') {
      const [since = 253_402_300_800_000] = step.since ? this.#numbers(step.since) : [];
      const body = await asked(requests, 'get-message-sessions', {
        ...{ 'last-updated-time': types.wrap_timestamp(since), skip: int(0), top: int(100) },
      });
      assert.deepEqual([...(body?.['sessions-ids'] ?? [])].sort(), step.expect);
    } else {
      if (step.add) await addRule(requests, step.add);
      if (step.remove) await asked(requests, 'remove-rule', { 'rule-name': step.remove });
      if (step.expect) assert.deepEqual((await ruleNames(requests)).sort(), step.expect);
    }
  }

  async #deferred(
    entity: string,
    { kept, expect }: { kept: string; expect?: Seen[] },
    session?: string,
  ): Promise<void> {
    const requests = await manage(this.#connection, entity);
    const of = session === undefined ? {} : { 'session-id': session };
    const body = await asked(requests, 'receive-by-sequence-number', {
      ...{ 'sequence-numbers': longs(this.#numbers(kept)), ...of },
      'receiver-settle-mode': types.wrap_uint(1),
    });
    const entries = body.messages as { message: Buffer; 'lock-token': Buffer }[];
    check(entries.map(decoded), expect);
    await asked(requests, 'update-disposition', {
      ...{ 'disposition-status': 'completed', ...of },
      'lock-tokens': uuids(entries.map((entry) => entry['lock-token'])),
    });
  }

  async #peek(entity: string, step: Peeked, session?: string): Promise<void> {
    const [from = 0] = step.start ? this.#numbers(step.start) : [];
    const body = await asked(await manage(this.#connection, entity), 'peek-message', {
      'from-sequence-number': types.wrap_long(from),
      'message-count': int(step.count),
      ...(step.omitsBodies ? { 'omit-message-body': true } : {}),
      ...(session === undefined ? {} : { 'session-id': session }),
    });
    const messages = ((body?.messages ?? []) as { message: Buffer }[]).map(decoded);
    assert.equal(messages.length, step.expect.length, 'messages');
    check(messages, step.expect);
  }

  async #session({ from, id, steps }: Of<'session'>): Promise<void> {
    const receiver = await openReceiver(this.#connection, from, { session: id ?? null });
    try {
      const { filter } = receiver.source as { filter?: Record<string, string> };
      const held = filter?.['com.microsoft:session-filter'] ?? '';
      for (const step of steps) {
        const isOuter = 'from' in step || 'to' in step || step.do === 'error';
        if (isOuter) await this.run(step as Step);
        else await this.#within(receiver, from, held, step as InSession);
      }
    } finally {
      receiver.close();
    }
  }

  async #within(receiver: Receiver, from: string, id: string, step: InSession): Promise<void> {
    const requests = await manage(this.#connection, from);
    const of = { 'session-id': id };
    switch (step.do) {
      case 'receive':
        return this.#take(receiver, step);
      case 'peek':
        return this.#peek(from, step, id);
      case 'deferred':
        return this.#deferred(from, step, id);
      case 'id':
        return assert.equal(id, step.is);
      case 'set': {
        const state =
          step.state === null ? null : types.wrap_binary(Buffer.from(step.state) as never);
        await asked(requests, 'set-session-state', { ...of, 'session-state': state });
        return;
      }
      case 'get': {
        const { 'session-state': state } = await asked(requests, 'get-session-state', of);
        return assert.equal(state === null ? null : String(state), step.state);
      }
      case 'renew': {
        const { expiration } = await asked(requests, 'renew-session-lock', of);
        return assert.ok(Number(expiration) > Date.now(), 'the lock is over');
      }
      case 'outlast':
        if (step.settles) await received(receiver, 1, patienceMs);
        return this.#outlast(receiver);
    }
  }

  /** The broker ends the link of a session whose lock is over, and says why. */
  async #outlast(receiver: Receiver): Promise<void> {
    await new Promise((_resolve, reject) => {
      receiver.once('receiver_error', () => reject(new AmqpFault(receiver.error)));
      setTimeout(() => reject(new Error('the link was not ended')), patienceMs).unref();
    });
  }

  async #error({ step, reason }: Of<'error'>): Promise<void> {
    const fault: unknown = await this.run(step).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(fault, 'no error');
    if (!reason) return;
    assert.ok(fault instanceof AmqpFault, `${reason}: ${fault}`);
    assert.equal(fault.condition, conditions[reason]);
  }

  #numbers(kept: string): number[] {
    const numbers = this.#kept.get(kept);
    assert.ok(numbers, `nothing is kept as ${kept}`);
    return numbers;
  }
}

/** The messages of a batch are the data sections of one. */
function batchOf({ messages }: Of<'send'>): rhea.Message {
  const all = messages.map((message) => rhea.message.encode(made(message)));
  return rhea.message.encode({ body: rhea.message.data_sections(all) }) as unknown as rhea.Message;
}

// On a delivery a GUID has the order of .NET, elsewhere that of RFC 9562.
const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
const tokenOf = ({ delivery: { tag } }: Delivered): Buffer =>
  Buffer.from(order.map((at) => (tag as Buffer)[at] ?? 0));

const decoded = ({ message }: { message: Buffer }): rhea.Message =>
  rhea.message.decode(message as never) as unknown as rhea.Message;

function settle({ delivery }: Delivered, { settle: how, changes = {} }: Taken): void {
  if (how === 'dead')
    delivery.reject({
      condition: 'com.microsoft:dead-letter',
      info: { DeadLetterReason: 'because', DeadLetterErrorDescription: 'of this', ...changes },
    } as never);
  else if (how === 'abandon' || how === 'defer')
    delivery.modified({ undeliverable_here: how === 'defer', message_annotations: changes });
  else delivery.accept();
}
