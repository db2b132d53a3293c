/** Messages from a queue to a client: credit, delivery, settlement, sessions. */
import rhea, { type Delivery, type EventContext, type Sender } from 'rhea';
import type { Consumer } from '../entity/consumer.ts';
import { ServiceBusFault, sessionLockLost } from '../entity/errors.ts';
import { isArriving, type Message } from '../entity/message.ts';
import type { Queue } from '../entity/queue.ts';
import type { Session } from '../entity/session.ts';
import type { SessionWaiter } from '../entity/sessions.ts';
import type { Guard } from '../guarded.ts';
import { type Coordinator, provisionally } from './coordinator.ts';
import { refuse, toAmqpError } from './faults.ts';
import { freeDelivery } from './freed-delivery.ts';
import { type Annotation, type Envelope, formatMessage } from './message.ts';
import {
  attachOf,
  echoed,
  holdBack,
  rejected,
  type SenderInternals,
  type SessionInternals,
  settleDelivery,
  transactionIdOf,
} from './rhea-internals.ts';
import { toSettlement } from './settlements.ts';
import { reorderGuid, ticks, tokenBytes } from './types.ts';

const { types } = rhea;

const described = (value: string, descriptor: number | string | undefined) =>
  descriptor === undefined ? value : types.wrap_described(value, descriptor);

// Bytes that a client was sent and has not read.
const mostUnread = 4 * 1024 * 1024;
const sessionFilter = 'com.microsoft:session-filter';
// The service's own wait for a next session when the client names none (SERVICE-BUS.md, 5).
const defaultWaitMs = 60_000;
const longestWaitMs = 65_000;

type TokenDelivery = Delivery & { token?: string };

export interface OutgoingOptions {
  sender: Sender;
  queue: Queue;
  guard: Guard;
  transactions: Coordinator;
}

export class OutgoingLink implements Consumer, SessionWaiter {
  readonly settlesFirst: boolean;
  readonly #guard: Guard;
  readonly #transactions: Coordinator;
  /** By lock token: handed out, and nothing said of them yet. */
  readonly #unsettled = new Map<string, Delivery>();
  /** Messages taken for good that are handed over once the store has forgotten them. */
  #reserved = 0;
  readonly #sender: Sender;
  readonly #link: SenderInternals;
  readonly #queue: Queue;
  /** Transfers handed to rhea; it counts those it has written in `delivery_count`. */
  #handed = 0;
  /** Bytes handed to rhea in this turn of the loop. */
  #unwritten = 0;
  #session: Session | undefined;
  #filterDescriptor: number | string | undefined;
  #cancelWait: (() => void) | undefined;
  #closed = false;

  constructor({ sender, queue, guard, transactions }: OutgoingOptions) {
    this.#guard = guard;
    this.#transactions = transactions;
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
    this.#sender.on('settled', (context: EventContext) => this.#onSettled(context));
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
    // The next link of this AMQP session needs their places.
    for (const delivery of this.#unsettled.values()) freeDelivery(delivery);
    this.#unsettled.clear();
  }

  // --- credit -----------------------------------------------------------------------------------

  room(): number {
    if (this.#closed || this.#isUnanswered) return 0;
    // Who gives credit and does not read would have the broker hold it all: it waits in the queue.
    const unread = this.#link.connection.socket?.writableLength ?? 0;
    if (unread + this.#unwritten > mostUnread) return 0;
    const inFlight = this.#handed - this.#link.delivery_count;
    const places = this.#slots() - this.#reserved;
    if (places <= 0) (this.#sender.session as SessionInternals).wantsPlaces = true;
    return Math.min(this.#link.credit - inFlight, places);
  }

  /**
   * Places of the AMQP session: as many as rhea keeps, and no more than the client's window takes. What
   * waits in rhea for that window would hold up every other link of the session.
   */
  #slots(): number {
    const { outgoing } = this.#sender.session as SessionInternals;
    const waiting = outgoing.next_delivery_id - outgoing.next_pending_delivery;
    return Math.min(outgoing.available(), outgoing.transfer_window() - waiting);
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
      setImmediate(this.#guard(() => this.#onCredit()));
      return;
    }
    this.#serve();
    this.#answerDrain();
  }

  #answerDrain(): void {
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
    // What was taken for good is on its way: the answer comes after it.
    if (!this.#link._draining || this.#reserved > 0) return false;
    this.#link._draining = false;
    this.#link.delivery_count += this.#link.credit;
    this.#handed += this.#link.credit;
    this.#link.credit = 0;
    return true;
  }

  // --- delivery ---------------------------------------------------------------------------------

  take(message: Message): void {
    this.#handed++;
    const waits = this.settlesFirst || isArriving(message);
    if (waits && !this.#queue.isVolatile) this.#takeOnceKept(message);
    else this.#guard(() => this.#transfer(message))();
  }

  /**
   * Taken for good it goes not before the store forgot it: a broker that is killed would hand it over
   * twice. And none goes before the store has it: whoever has it would know of a message that was never
   * accepted, and that is not there after a kill.
   */
  #takeOnceKept(message: Message): void {
    this.#reserved++;
    const token = message.lock?.token;
    const handOver = this.#guard(() => {
      this.#reserved--;
      if (this.#closed && this.settlesFirst) this.#queue.takeBack(message);
      else if (!this.#closed && message.lock?.token === token) this.#transfer(message);
      else this.#handed--;
      if (this.#reserved === 0) this.#answerDrain();
    });
    this.#queue.kept().then(handOver, () => undefined);
  }

  #transfer(message: Message): void {
    const tag = message.lock ? reorderGuid(tokenBytes(message.lock.token)) : Buffer.alloc(16);
    const payload = formatMessage(toEnvelope(message));
    this.#countUnwritten(payload.length);
    // biome-ignore lint/suspicious/noExplicitAny: rhea takes encoded bytes when a format is given
    const delivery = this.#sender.send(payload as any, tag, 0) as TokenDelivery;
    if (this.settlesFirst) (delivery as unknown as { settled: boolean }).settled = true;
    else if (message.lock) {
      delivery.token = message.lock.token;
      this.#unsettled.set(delivery.token, delivery);
    }
  }

  forget(token: string): void {
    const delivery = this.#unsettled.get(token);
    this.#unsettled.delete(token);
    if (delivery && freeDelivery(delivery)) this.#handed--;
  }

  /** rhea writes at the end of the turn: until then the socket does not know of it. */
  #countUnwritten(bytes: number): void {
    if (this.#unwritten === 0)
      setImmediate(
        this.#guard(() => {
          const wasFull = this.#unwritten > mostUnread;
          this.#unwritten = 0;
          if (wasFull) this.resume();
        }),
      );
    this.#unwritten += bytes;
  }

  #onOutcome(outcome: string, { delivery }: EventContext): void {
    const { token, remote_state: state } = (delivery ?? {}) as Partial<TokenDelivery>;
    if (!delivery || !token || !this.#unsettled.has(token)) return;
    this.#unsettled.delete(token);
    const answer = this.#guard(settleDelivery);
    try {
      if (this.#session) this.#queue.sessions?.heldBy(this.#session.id, (it) => it === this);
      const transaction = this.#transactions.of(delivery);
      if (transaction) {
        transaction.settle(this.#queue, token, toSettlement(outcome, state));
        const id = transactionIdOf(delivery) ?? '';
        settleDelivery(delivery, provisionally(id, echoed(outcome)));
        return;
      }
      this.#queue.settle(token, toSettlement(outcome, state));
    } catch (fault) {
      settleDelivery(delivery, rejected(this.#asLost(fault)));
      return;
    }
    this.#queue.kept().then(
      () => answer(delivery, echoed(outcome)),
      (fault) => answer(delivery, rejected(toAmqpError(fault))),
    );
    this.#serve();
  }

  /** Settled with no outcome: whatever it was, it was not completed. */
  #onSettled({ delivery }: EventContext): void {
    const { token, remote_state: state } = (delivery ?? {}) as Partial<TokenDelivery>;
    if (!token || state || !this.#unsettled.has(token)) return;
    this.forget(token);
    this.#queue.settle(token, { kind: 'abandon' });
  }

  #asLost(fault: unknown) {
    const isLost = (fault as ServiceBusFault).condition === 'com.microsoft:message-lock-lost';
    return toAmqpError(this.#session && isLost ? sessionLockLost(this.#session.id) : fault);
  }

  // --- sessions ---------------------------------------------------------------------------------

  /** Undefined: no session asked for; null: the next free one. */
  #wantedSession(): string | null | undefined {
    const filter = attachOf(this.#sender).source?.filter;
    if (!filter || typeof filter !== 'object' || !(sessionFilter in filter)) return undefined;
    const value = filter[sessionFilter];
    // Some clients describe the value, and then read the answer so too.
    const described = (value ?? {}) as { descriptor?: { value: number | string }; value?: unknown };
    this.#filterDescriptor = described.descriptor?.value;
    const id = described.descriptor ? described.value : value;
    return typeof id === 'string' ? id : null;
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
    const asked = properties?.['com.microsoft:timeout'];
    const waitMs = typeof asked === 'number' ? asked : defaultWaitMs;
    const timedOut = this.#guard(() => {
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
    this.#cancelWait = this.#queue.after(Math.min(waitMs, longestWaitMs), timedOut);
    this.#queue.sessions?.acceptNext(this);
  }

  granted(session: Session): void {
    this.#cancelWait?.();
    // The client may have gone without a word while it waited.
    if (this.#closed || !this.#link.state.remote_open) {
      this.#queue.sessions?.release(session, this);
      return;
    }
    this.#guard(() => {
      this.#answerWith(session);
      this.#link.open();
      this.#link.connection._register();
      // Credit may have come with the attach, which rhea keeps to itself until then.
      setImmediate(this.#guard(() => this.#onCredit()));
    })();
  }

  #answerWith(session: Session): void {
    this.#session = session;
    const { address } = attachOf(this.#sender).source ?? {};
    this.#sender.set_source({
      address: address as string,
      filter: {
        [sessionFilter]: described(session.id, this.#filterDescriptor),
      },
    } as unknown as Parameters<Sender['set_source']>[0]);
    this.#link.local.attach['properties'] = {
      'com.microsoft:locked-until-utc': ticks(session.lock?.until ?? 0),
    };
  }

  ready(): void {
    if (this.#session && !this.#closed) this.#queue.dispatchSession(this.#session, this, this);
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

  gone(fault: ServiceBusFault): void {
    this.#sender.close(toAmqpError(fault));
    this.close();
    this.#link.connection._register();
  }
}

const states = { active: 0, deferred: 1, scheduled: 2 } as const;

const stateOf = ({ state, wasScheduled }: Message) =>
  state === 'active' && wasScheduled ? 'scheduled' : state;

export function toEnvelope(message: Message): Envelope {
  const annotations: Annotation[] = [
    ['x-opt-sequence-number', 'long', message.sequence],
    ['x-opt-enqueue-sequence-number', 'long', message.enqueuedSequence],
    ['x-opt-enqueued-time', 'timestamp', message.enqueuedAt],
    // The service goes on saying of a message that it was scheduled.
    ['x-opt-message-state', 'int', states[stateOf(message)]],
  ];
  if (message.lock) annotations.push(['x-opt-locked-until', 'timestamp', message.lock.until]);
  if (message.deadLetterSource)
    annotations.push(['x-opt-deadletter-source', 'string', message.deadLetterSource]);
  return { content: message.content, deliveryCount: message.deliveryCount, annotations };
}
