/** Messages from a queue to a client: credit, delivery, settlement, sessions. */
import type { Delivery, EventContext, Sender } from 'rhea';
import type { Consumer, Settlement } from '../entity/consumer.ts';
import { ServiceBusFault, sessionLockLost } from '../entity/errors.ts';
import type { Message } from '../entity/message.ts';
import type { Queue } from '../entity/queue.ts';
import type { Session } from '../entity/session.ts';
import type { SessionWaiter } from '../entity/sessions.ts';
import { refuse, toAmqpError } from './faults.ts';
import { type Annotation, type Envelope, formatMessage } from './message.ts';
import {
  accepted,
  attachOf,
  holdBack,
  rejected,
  type SenderInternals,
  type SessionInternals,
  settleDelivery,
} from './rhea-internals.ts';
import { reorderGuid, ticks, tokenBytes } from './types.ts';

// Bytes that a client was sent and has not read.
const mostUnread = 4 * 1024 * 1024;
const sessionFilter = 'com.microsoft:session-filter';
// The service's own wait for a next session when the client names none (SERVICE-BUS.md, 5).
const defaultWaitMs = 60_000;

export class OutgoingLink implements Consumer, SessionWaiter {
  readonly settlesFirst: boolean;
  readonly #sender: Sender;
  readonly #link: SenderInternals;
  readonly #queue: Queue;
  /** Transfers handed to rhea; it counts those it has written in `delivery_count`. */
  #handed = 0;
  /** Bytes handed to rhea in this turn of the loop. */
  #unwritten = 0;
  #session: Session | undefined;
  #cancelWait: (() => void) | undefined;
  #closed = false;

  constructor(sender: Sender, queue: Queue) {
    this.#sender = sender;
    this.#link = sender as unknown as SenderInternals;
    this.#queue = queue;
    this.settlesFirst = attachOf(sender).snd_settle_mode === 1;
  }

  start(): void {
    this.#queue.checkReceive();
    const wanted = this.#wantedSession();
    this.#checkSessionUse(wanted);
    this.#sender.on('sender_flow', () => this.#onCredit());
    for (const outcome of ['accepted', 'released', 'rejected', 'modified'])
      this.#sender.on(outcome, (context: EventContext) => this.#onOutcome(outcome, context));
    // Answer a drain even when no credit is left: rhea alone stays silent and the SDK then waits.
    this.#link._get_drain = () => this.#drained();
    if (wanted === undefined) this.#queue.addConsumer(this);
    else if (wanted === null) this.#waitForSession();
    else if (this.#queue.sessions) this.#answerWith(this.#queue.sessions.accept(wanted, this));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelWait?.();
    this.#queue.removeConsumer(this);
    this.#queue.sessions?.stopWaiting(this);
    if (this.#session) this.#queue.sessions?.release(this.#session, this);
  }

  // --- credit -----------------------------------------------------------------------------------

  room(): number {
    if (this.#closed || this.#isUnanswered) return 0;
    // Who gives credit and does not read would have the broker hold it all: it waits in the queue.
    const unread = this.#link.connection.socket?.writableLength ?? 0;
    if (unread + this.#unwritten > mostUnread) return 0;
    const inFlight = this.#handed - this.#link.delivery_count;
    const slots = (this.#sender.session as SessionInternals).outgoing.available();
    return Math.min(this.#link.credit - inFlight, slots);
  }

  /** rhea would write transfers before the answer to the attach, if credit came in one read with it. */
  get #isUnanswered(): boolean {
    return this.#link.state.open_requests > 0;
  }

  resume(): void {
    if (!this.#closed) this.#serve();
  }

  #onCredit(): void {
    if (this.#closed) return;
    if (this.#isUnanswered) {
      setImmediate(() => this.#onCredit());
      return;
    }
    this.#serve();
    if (!this.#link._draining) return;
    this.#link.issue_flow = true;
    this.#link.connection._register();
  }

  #serve(): void {
    if (this.#session) this.#queue.dispatchSession(this.#session, this, this);
    else this.#queue.dispatch();
  }

  /** Called by rhea while it writes a flow, after the transfers that were waiting. */
  #drained(): boolean {
    if (!this.#link._draining) return false;
    this.#link._draining = false;
    this.#link.delivery_count += this.#link.credit;
    this.#handed += this.#link.credit;
    this.#link.credit = 0;
    return true;
  }

  // --- delivery ---------------------------------------------------------------------------------

  take(message: Message): void {
    this.#handed++;
    const tag = message.lock ? reorderGuid(tokenBytes(message.lock.token)) : Buffer.alloc(16);
    const payload = formatMessage(toEnvelope(message));
    this.#countUnwritten(payload.length);
    // biome-ignore lint/suspicious/noExplicitAny: rhea takes encoded bytes when a format is given
    const delivery = this.#sender.send(payload as any, tag, 0) as Delivery & { token?: string };
    if (this.settlesFirst) (delivery as unknown as { settled: boolean }).settled = true;
    else if (message.lock) delivery.token = message.lock.token;
  }

  /** rhea writes at the end of the turn: until then the socket does not know of it. */
  #countUnwritten(bytes: number): void {
    if (this.#unwritten === 0)
      setImmediate(() => {
        const wasFull = this.#unwritten > mostUnread;
        this.#unwritten = 0;
        if (wasFull) this.resume();
      });
    this.#unwritten += bytes;
  }

  #onOutcome(outcome: string, { delivery }: EventContext): void {
    const { token, remote_state: state } = delivery as Delivery & { token?: string };
    if (!delivery || !token) return;
    try {
      if (this.#session) this.#queue.sessions?.heldBy(this.#session.id, this);
      this.#queue.settle(token, toSettlement(outcome, state));
    } catch (fault) {
      settleDelivery(delivery, rejected(this.#asLost(fault)));
      return;
    }
    this.#queue.kept().then(
      () => settleDelivery(delivery, accepted()),
      (fault) => settleDelivery(delivery, rejected(toAmqpError(fault))),
    );
    this.#serve();
  }

  #asLost(fault: unknown) {
    return toAmqpError(this.#session ? sessionLockLost(this.#session.id) : fault);
  }

  // --- sessions ---------------------------------------------------------------------------------

  /** Undefined: no session asked for; null: the next free one. */
  #wantedSession(): string | null | undefined {
    const filter = attachOf(this.#sender).source?.filter;
    if (!filter || !(sessionFilter in filter)) return undefined;
    const value = filter[sessionFilter];
    return typeof value === 'string' ? value : null;
  }

  #checkSessionUse(wanted: string | null | undefined): void {
    const { name, requiresSession } = this.#queue.settings;
    if (requiresSession && wanted === undefined)
      throw new ServiceBusFault(
        'amqp:not-allowed',
        `It is not possible for an entity that requires sessions to create a non-sessionful message receiver (${name}).`,
      );
    if (!requiresSession && wanted !== undefined)
      throw new ServiceBusFault(
        'amqp:not-allowed',
        `A sessionful message receiver cannot be created on an entity that does not require sessions (${name}).`,
      );
  }

  #waitForSession(): void {
    holdBack(this.#link);
    const properties = attachOf(this.#sender).properties;
    const waitMs = Number(properties?.['com.microsoft:timeout'] ?? defaultWaitMs);
    this.#cancelWait = this.#queue.after(Math.min(waitMs, 65_000), () => {
      this.#queue.sessions?.stopWaiting(this);
      this.#link.open();
      refuse(
        this.#link,
        new ServiceBusFault(
          'com.microsoft:timeout',
          'No session became available within the time asked for.',
        ),
      );
    });
    this.#queue.sessions?.acceptNext(this);
  }

  granted(session: Session): void {
    this.#cancelWait?.();
    // The client may have gone without a word while it waited.
    if (this.#closed || !this.#link.state.remote_open) {
      this.#queue.sessions?.release(session, this);
      return;
    }
    this.#answerWith(session);
    this.#link.open();
    this.#link.connection._register();
  }

  #answerWith(session: Session): void {
    this.#session = session;
    const { address } = attachOf(this.#sender).source ?? {};
    this.#sender.set_source({
      address: address as string,
      filter: { [sessionFilter]: session.id },
    } as unknown as Parameters<Sender['set_source']>[0]);
    this.#link.local.attach['properties'] = {
      'com.microsoft:locked-until-utc': ticks(session.lock?.until ?? 0),
    };
  }

  ready(): void {
    if (this.#session) this.#queue.dispatchSession(this.#session, this, this);
  }

  lost(fault?: ServiceBusFault): void {
    const session = this.#session;
    this.#session = undefined;
    if (session || !fault) this.gone(fault ?? sessionLockLost(session?.id ?? ''));
    else {
      // It was still waiting for one: the answer to its attach is the refusal.
      this.#cancelWait?.();
      this.#link.open();
      refuse(this.#link, fault);
      this.close();
    }
  }

  gone({ condition, message: description }: ServiceBusFault): void {
    this.#sender.close({ condition, description });
    this.close();
    this.#link.connection._register();
  }
}

const states = { active: 0, deferred: 1, scheduled: 2 } as const;

export function toEnvelope(message: Message): Envelope {
  const annotations: Annotation[] = [
    ['x-opt-sequence-number', 'long', message.sequence],
    ['x-opt-enqueue-sequence-number', 'long', message.enqueuedSequence],
    ['x-opt-enqueued-time', 'timestamp', message.enqueuedAt],
    ['x-opt-message-state', 'int', states[message.state]],
  ];
  if (message.lock) annotations.push(['x-opt-locked-until', 'timestamp', message.lock.until]);
  if (message.deadLetterSource)
    annotations.push(['x-opt-deadletter-source', 'string', message.deadLetterSource]);
  return { content: message.content, deliveryCount: message.deliveryCount, annotations };
}

/** What the client's outcome asks for (SERVICE-BUS.md, 4.1). */
function toSettlement(outcome: string, state: unknown): Settlement {
  const { error, undeliverable_here, message_annotations } = (state ?? {}) as {
    error?: { info?: Record<string, unknown> };
    undeliverable_here?: boolean;
    message_annotations?: Record<string, unknown>;
  };
  if (outcome === 'accepted') return { kind: 'complete' };
  if (outcome === 'released') return { kind: 'abandon' };
  if (outcome === 'modified')
    return {
      kind: undeliverable_here ? 'defer' : 'abandon',
      properties: message_annotations ?? {},
    };
  const { DeadLetterReason, DeadLetterErrorDescription, ...properties } = error?.info ?? {};
  return {
    kind: 'deadLetter',
    reason: textOf(DeadLetterReason),
    description: textOf(DeadLetterErrorDescription),
    properties,
  };
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
