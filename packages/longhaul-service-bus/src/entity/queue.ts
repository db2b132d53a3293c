/**
 * The rules of one queue, with no socket and no AMQP in sight. A topic is a queue that passes all on, a
 * subscription one that is only received from.
 *
 * A message is active (ready or locked), deferred or scheduled. What changes is told to the journal;
 * `kept()` resolves when it survives the process.
 */
import type { Content } from '../amqp/message.ts';
import type { EntityJournal, Kept } from '../store/journal.ts';
import type { BrokerClock } from '../time.ts';
import { trace } from '../trace.ts';
import { checkReceive, checkSend } from './access.ts';
import { peek, waiting } from './browse.ts';
import type { Consumer, Settlement } from './consumer.ts';
import { Consumers } from './consumers.ts';
import { Custody } from './custody.ts';
import { Duplicates } from './duplicates.ts';
import { badArgument, entityRemoved, messageNotFound, ServiceBusFault } from './errors.ts';
import { type Message, newMessage, type Origin } from './message.ts';
import { Order } from './order.ts';
import type { Rules } from './rules.ts';
import { Sequence } from './sequence.ts';
import type { Session, SessionHolder } from './session.ts';
import { Sessions } from './sessions.ts';
import type { QueueSettings } from './settings.ts';
import { Stock } from './stock.ts';

/** Something of a client that ends when the entity does. */
export interface Linked {
  gone(fault: ServiceBusFault): void;
}

// One answer's worth: a client that asks for more asks again.
const mostPeekedBytes = 4 * 1024 * 1024;

export class Queue {
  readonly settings: QueueSettings;
  /** Undefined on a queue without sessions. */
  readonly sessions: Sessions | undefined;
  readonly deadLetters: Queue | undefined;
  readonly stock = new Stock();
  /** Of a subscription. */
  rules: Rules | undefined;
  /** Shown by `peek` beside its own messages: the scheduled ones of a subscription's topic. */
  alsoPeeked: Queue | undefined;
  accessedAt: number;
  /** What clients have open to it, in either direction. */
  readonly links = new Set<Linked>();
  /** Bytes that count to the size of the entity: its parts together. */
  usedBytes: () => number;
  readonly #clock: BrokerClock;
  readonly #journal: EntityJournal;
  readonly #ready = new Order();
  readonly #custody: Custody;
  readonly #consumers = new Consumers();
  readonly #duplicates: Duplicates | undefined;
  readonly #sequence: Sequence;
  #removed = false;

  constructor(
    settings: QueueSettings,
    clock: BrokerClock,
    journal: EntityJournal,
    deadLetters: Queue | undefined,
  ) {
    this.settings = settings;
    this.#clock = clock;
    this.#journal = journal;
    this.accessedAt = clock.now();
    this.#sequence = new Sequence(journal);
    this.deadLetters = deadLetters;
    if (settings.duplicateWindowMs !== undefined)
      this.#duplicates = new Duplicates(settings, clock, journal);
    this.usedBytes = () => this.stock.bytes;
    this.#custody = new Custody(this, clock, journal, {
      activate: (message) => this.#activate(message),
      sessionOf: (message) => this.#sessionOf(message),
      ready: (message, session) => this.#makeReady(message, 'returned', session),
    });
    if (settings.requiresSession)
      this.sessions = new Sessions(clock, journal, {
        settings,
        newIndex: this.stock.index,
        hasReady: (session) => this.#firstReady(session.order) !== undefined,
        giveBack: (message, how) => this.#custody.giveBack(message, how),
      });
  }

  /** Resolves when everything done so far survives the process. */
  kept(): Promise<void> {
    return this.#journal.kept();
  }

  /** Nothing of it survives the process. */
  get isVolatile(): boolean {
    return this.#journal.isVolatile;
  }

  /** Calls `run` later, by the broker's clock; answers what cancels it. */
  after(delayMs: number, run: () => void): () => void {
    return this.#clock.after(delayMs, run);
  }

  // --- in ---------------------------------------------------------------------------------------

  /** Takes messages in, all or none; answers their sequence numbers (0 for a duplicate, dropped). */
  enqueue(contents: readonly Content[]): number[] {
    this.checkSend(contents);
    this.accessedAt = this.#clock.now();
    const sequences = contents.map((content) => {
      if (!this.#duplicates?.seenBefore(content.messageId)) return this.#add(content);
      trace(this.settings.name, content, 'duplicate, dropped');
      return 0;
    });
    this.dispatch();
    return sequences;
  }

  /** @throws ServiceBusFault when these, or any at all, are not taken */
  checkSend(contents: readonly Content[]): void {
    if (this.#removed) throw entityRemoved(this.settings.name);
    // Before it is taken in: what was refused must not be delivered.
    if (this.#journal.isStuck)
      throw new ServiceBusFault(
        'com.microsoft:server-busy',
        `The broker cannot write its data now: nothing is taken into ${this.settings.name}.`,
      );
    checkSend(this.settings, contents, this.usedBytes());
  }

  /** Takes in what another queue hands on; the caller dispatches. */
  admit(content: Content, from: Origin): void {
    const isForwarded = from.hops !== undefined;
    if (isForwarded && this.#duplicates?.seenBefore(content.messageId)) return;
    this.#add(content, from);
  }

  #add(content: Content, from?: Origin): number {
    const now = this.#clock.now();
    const scheduled = !from && content.scheduledFor !== undefined && content.scheduledFor > now;
    const sequence = this.#sequence.take();
    const message = newMessage(content, sequence, now, scheduled, from);
    const session = this.#sessionOf(message);
    this.stock.add(message, session);
    if (!scheduled) this.#custody.lifetimes.start(message);
    this.#journal.putMessage(message, { withBody: true });
    trace(this.settings.name, message, scheduled ? 'scheduled' : 'enqueued');
    this.#custody.lifetimes.watch(message);
    if (!scheduled) this.#makeReady(message, 'fresh', session);
    return sequence;
  }

  #activate(message: Message): void {
    if (message.state !== 'scheduled' || !this.stock.has(message)) return;
    // The service gives a scheduled message a new number when it becomes active.
    const session = this.#sessionOf(message);
    this.stock.remove(message, session);
    this.#journal.deleteMessage(message);
    message.sequence = this.#sequence.take();
    message.state = 'active';
    message.wasScheduled = true;
    this.stock.add(message, session);
    this.#custody.lifetimes.start(message);
    this.#custody.lifetimes.watch(message);
    this.#journal.putMessage(message, { withBody: true });
    trace(this.settings.name, message, 'active');
    this.#makeReady(message, 'fresh');
    this.dispatch();
  }

  cancelScheduled(sequences: readonly number[]): void {
    const found = sequences.map((sequence) => this.stock.get(sequence));
    if (found.some((message) => message?.state !== 'scheduled'))
      throw messageNotFound('were they sent, cancelled or never scheduled?');
    for (const message of found) if (message) this.#custody.remove(message);
  }

  // --- out --------------------------------------------------------------------------------------

  /** @throws ServiceBusFault when nothing is given out here */
  checkReceive(): void {
    if (this.#removed) throw entityRemoved(this.settings.name);
    checkReceive(this.settings, { forwards: this.#consumers.onward !== undefined });
  }

  /** From now on messages go on by themselves; undefined: no more. */
  passOn(onward: Consumer | undefined): void {
    if (this.#consumers.onward) this.removeConsumer(this.#consumers.onward);
    this.#consumers.onward = onward;
    if (onward) this.addConsumer(onward);
  }

  addConsumer(consumer: Consumer): void {
    this.accessedAt = this.#clock.now();
    this.#consumers.add(consumer);
    this.dispatch();
  }

  removeConsumer(consumer: Consumer): void {
    this.#consumers.remove(consumer);
  }

  /** Hands out what is ready; call it when a consumer has room again. */
  dispatch(): void {
    if (this.#journal.isStuck) return;
    if (this.sessions) {
      this.sessions.match();
      return;
    }
    for (let message = this.#firstReady(this.#ready); message; ) {
      const consumer = this.#consumers.next();
      if (!consumer) return;
      this.#ready.shift();
      this.#handOver(message, consumer);
      message = this.#firstReady(this.#ready);
    }
  }

  #firstReady(order: Order): Message | undefined {
    for (let first = order.first(); first !== undefined; first = order.first()) {
      const message = this.stock.get(first);
      const expired = message !== undefined && this.#isExpired(message);
      if (message && message.state === 'active' && !message.lock && !expired) return message;
      order.shift();
      if (message && expired) this.#custody.expire(message);
    }
    return undefined;
  }

  #isExpired({ expiresAt }: Message): boolean {
    return expiresAt !== undefined && expiresAt <= this.#clock.now();
  }

  #handOver(message: Message, consumer: Consumer, session?: Session): void {
    if (consumer.settlesFirst) {
      trace(this.settings.name, message, 'taken for good');
      this.#custody.remove(message);
      consumer.take(message);
      return;
    }
    this.#custody.locks.take(message, consumer, session);
    this.#journal.putDelivery(message);
    trace(this.settings.name, message, 'delivered');
    consumer.take(message);
  }

  /** A message that was taken for good by one who was gone before it could be handed over. */
  takeBack(message: Message): void {
    if (this.#removed) return;
    const session = this.#sessionOf(message);
    this.stock.add(message, session);
    this.#journal.putMessage(message, { withBody: true });
    this.#custody.lifetimes.watch(message);
    if (message.state === 'active') this.#makeReady(message, 'returned', session);
    this.dispatch();
  }

  /** Answers until when the lock holds now. @throws ServiceBusFault */
  renewLock(token: string): number {
    const message = this.#custody.locks.renew(token);
    this.#journal.putMessage(message);
    return message.lock?.until ?? 0;
  }

  /** @throws ServiceBusFault when the lock of this token is over */
  lockedBy(token: string): Message {
    return this.#custody.locks.holder(token);
  }

  /** @throws ServiceBusFault */
  settle(token: string, settlement: Settlement): void {
    this.accessedAt = this.#clock.now();
    this.#custody.settle(this.lockedBy(token), settlement);
    this.dispatch();
  }

  /** In a session only those of the session. @throws ServiceBusFault */
  receiveDeferred(sequences: readonly number[], consumer: Consumer, session?: Session): void {
    if (this.sessions && !session)
      throw badArgument(
        `A deferred message of ${this.settings.name} is had by session and number.`,
      );
    const found = [...new Set(sequences)].map((sequence) => this.stock.get(sequence));
    for (const message of found) {
      if (message?.state !== 'deferred' || message.lock || this.#sessionOf(message) !== session)
        throw messageNotFound('it does not exist, or is not deferred.');
      if (!this.#isExpired(message)) continue;
      this.#custody.expireNow(message);
      throw messageNotFound('it has expired.');
    }
    for (const message of found) if (message) this.#handOver(message, consumer, session);
  }

  peek(from: number, count: number, sessionId?: string): Message[] {
    this.accessedAt = this.#clock.now();
    const peeked = peek(this, from, count, sessionId, this.accessedAt, mostPeekedBytes);
    const more = count - peeked.length;
    if (more <= 0 || !this.alsoPeeked?.stock.counts.scheduled) return peeked;
    return [...peeked, ...this.alsoPeeked.peek(from, more, sessionId)];
  }

  /** Deletes up to `count` messages that wait unlocked, enqueued before a time; answers how many. */
  purge(count: number, before: number, sessionId?: string): number {
    const chosen = waiting(this, count, before, sessionId);
    for (const message of chosen) this.#custody.remove(message);
    return chosen.length;
  }

  // --- sessions ---------------------------------------------------------------------------------

  #sessionOf(message: Message): Session | undefined {
    const id = this.sessions && message.content.sessionId;
    return id === undefined ? undefined : this.sessions?.get(id);
  }

  #makeReady(
    message: Message,
    how: 'fresh' | 'returned',
    session = this.#sessionOf(message),
  ): void {
    const order = session?.order ?? this.#ready;
    if (how === 'fresh') order.append(message.sequence);
    else order.putBack(message.sequence);
    if (session) this.sessions?.offer(session);
  }

  /** Gives the session's consumer what is ready, in order. */
  dispatchSession(session: Session, holder: SessionHolder, consumer: Consumer): void {
    if (session.lock?.holder !== holder) return;
    while (consumer.room() > 0) {
      const message = this.#firstReady(session.order);
      if (!message) return;
      session.order.shift();
      this.#handOver(message, consumer, session);
    }
  }

  /**
   * Takes up what the journal kept. A lock of a receiver that may still be there goes on until it
   * ends; with `releaseLocks` (nobody survived) its message is ready at once. Either way the
   * delivery counts. Sessions are free: their receivers' links ended with the broker.
   */
  restore(kept: Kept, { releaseLocks }: { releaseLocks: boolean }): void {
    this.#sequence.restore(kept.counter, kept.highest);
    for (const [key, duplicate] of kept.duplicates) this.#duplicates?.restore(key, duplicate);
    for (const [id, state] of kept.sessionStates)
      this.sessions?.keepState(this.sessions.get(id), state);
    for (const message of kept.messages)
      try {
        this.#restoreMessage(message, releaseLocks);
      } catch (fault) {
        // Or no start would come past it.
        this.#custody.setAside(message, fault);
      }
  }

  #restoreMessage(message: Message, releaseLocks: boolean): void {
    const session = this.#sessionOf(message);
    this.stock.add(message, session);
    this.#custody.lifetimes.watch(message);
    if (message.lock && (releaseLocks || session))
      this.#custody.giveBack(message, { counts: true });
    else if (message.lock) this.#custody.locks.restore(message);
    else if (message.state === 'active') this.#makeReady(message, 'fresh', session);
  }

  /** Who receives is told to go. */
  end(fault: ServiceBusFault): void {
    this.#consumers.end(fault);
    this.sessions?.end(fault);
  }

  /** Removes everything, also from the store; all links end. */
  remove(): void {
    this.#removed = true;
    this.passOn(undefined);
    const fault = entityRemoved(this.settings.name);
    this.end(fault);
    for (const link of [...this.links]) link.gone(fault);
    for (const message of [...this.stock.from(0)]) this.#custody.remove(message);
    for (const id of [...(this.sessions?.withState() ?? [])])
      this.#journal.putSessionState(id, undefined);
    this.#duplicates?.clear();
    this.#sequence.clear();
    this.close();
  }

  close(): void {
    for (const part of [this.#custody, this.sessions]) part?.close();
  }
}
