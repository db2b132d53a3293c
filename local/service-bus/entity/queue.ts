/**
 * The rules of one queue, with no socket and no AMQP in sight. A topic is a queue that passes all on, a
 * subscription one that is only received from.
 *
 * A message is active (ready or locked), deferred or scheduled. What changes is told to the journal;
 * `kept()` resolves when it survives the process.
 */
import type { Clock } from '../../clock.ts';
import { type Content, withApplicationProperties } from '../amqp/message.ts';
import type { EntityJournal, Kept } from '../store/journal.ts';
import { trace } from '../trace.ts';
import { checkReceive, checkSend } from './access.ts';
import { peek, waiting } from './browse.ts';
import type { Consumer, Settlement } from './consumer.ts';
import { Consumers } from './consumers.ts';
import { copyToDeadLetters, deliveredTooOften, expired, type Reason } from './dead-letter.ts';
import { Duplicates } from './duplicates.ts';
import { entityRemoved, messageNotFound, type ServiceBusFault } from './errors.ts';
import { Lifetimes } from './lifetimes.ts';
import { Locks } from './locks.ts';
import { fromMeta, type Message, newMessage, type Origin } from './message.ts';
import { Order } from './order.ts';
import type { Rules } from './rules.ts';
import { Sequence } from './sequence.ts';
import type { Session, SessionHolder } from './session.ts';
import { Sessions } from './sessions.ts';
import type { QueueSettings } from './settings.ts';
import { Stock } from './stock.ts';

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
  readonly #clock: Clock;
  readonly #journal: EntityJournal;
  readonly #ready = new Order();
  readonly #locks: Locks;
  readonly #consumers = new Consumers();
  readonly #duplicates: Duplicates | undefined;
  readonly #lifetimes: Lifetimes;
  readonly #sequence: Sequence;
  #removed = false;

  constructor(
    settings: QueueSettings,
    clock: Clock,
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
    this.#locks = new Locks(clock, settings, (message) => {
      trace(settings.name, message, 'lock ended');
      this.#giveBack(message, { counts: true });
      this.dispatch();
    });
    if (settings.requiresSession)
      this.sessions = new Sessions(clock, journal, {
        settings,
        newIndex: this.stock.index,
        hasReady: (session) => this.#firstReady(session.order) !== undefined,
        giveBack: (message) => this.#giveBack(message, { counts: true }),
      });
    this.#lifetimes = new Lifetimes(clock, settings, {
      activate: (message) => this.#activate(message),
      expire: (message) => this.#expire(message),
      isGone: (message) => !this.stock.has(message),
    });
  }

  /** Resolves when everything done so far survives the process. */
  kept(): Promise<void> {
    return this.#journal.kept();
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
    checkSend(this.settings, contents, this.stock.bytes);
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
    if (!scheduled) this.#lifetimes.start(message);
    this.#journal.putMessage(message, { withBody: true });
    trace(this.settings.name, message, scheduled ? 'scheduled' : 'enqueued');
    this.#lifetimes.watch(message);
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
    message.hasOwnMeta = false;
    message.state = 'active';
    this.stock.add(message, session);
    this.#lifetimes.start(message);
    this.#lifetimes.watch(message);
    this.#journal.putMessage(message, { withBody: true });
    trace(this.settings.name, message, 'active');
    this.#makeReady(message, 'fresh');
    this.dispatch();
  }

  cancelScheduled(sequences: readonly number[]): void {
    const found = sequences.map((sequence) => this.stock.get(sequence));
    if (found.some((message) => message?.state !== 'scheduled'))
      throw messageNotFound('were they sent, cancelled or never scheduled?');
    for (const message of found) if (message) this.#remove(message);
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
    this.#consumers.add(consumer);
    this.dispatch();
  }

  removeConsumer(consumer: Consumer): void {
    this.#consumers.remove(consumer);
  }

  /** Hands out what is ready; call it when a consumer has room again. */
  dispatch(): void {
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
      const expired = (message?.expiresAt ?? Number.POSITIVE_INFINITY) <= this.#clock.now();
      if (message && message.state === 'active' && !message.lock && !expired) return message;
      order.shift();
      if (message && expired) this.#expire(message);
    }
    return undefined;
  }

  #handOver(message: Message, consumer: Consumer, session?: Session): void {
    if (consumer.settlesFirst) {
      trace(this.settings.name, message, 'taken for good');
      this.#remove(message);
      consumer.take(message);
      return;
    }
    this.#locks.take(message, session);
    this.#save(message);
    trace(this.settings.name, message, 'delivered');
    consumer.take(message);
  }

  /** Answers until when the lock holds now. */
  renewLock(token: string): number {
    const message = this.#locks.renew(token);
    this.#save(message);
    return message.lock?.until ?? 0;
  }

  settle(token: string, settlement: Settlement): void {
    const message = this.#locks.holder(token);
    trace(this.settings.name, message, settlement.kind);
    switch (settlement.kind) {
      case 'complete':
        this.#remove(message);
        break;
      case 'abandon':
        this.#changeProperties(message, settlement.properties);
        this.#giveBack(message, { counts: this.settings.role !== 'deadLetters' });
        break;
      case 'defer':
        this.#changeProperties(message, settlement.properties);
        this.#locks.release(message, this.#sessionOf(message));
        this.stock.changeState(message, 'deferred');
        this.#save(message);
        break;
      case 'deadLetter':
        this.#deadLetter(message, settlement, settlement.properties);
        break;
    }
    this.dispatch();
  }

  #changeProperties(message: Message, properties: Record<string, unknown> | undefined): void {
    if (!properties || Object.keys(properties).length === 0) return;
    this.stock.changeBare(message, withApplicationProperties(message.content.bare, properties));
    this.#journal.putMessage(message, { withBody: true });
  }

  #giveBack(message: Message, { counts }: { counts: boolean }): void {
    const session = this.#sessionOf(message);
    this.#locks.release(message, session);
    if (counts) message.deliveryCount++;
    const limit = this.settings.maxDeliveryCount;
    if (limit !== undefined && message.deliveryCount >= limit) {
      this.#deadLetter(message, deliveredTooOften(limit));
      return;
    }
    this.#save(message);
    if (message.state === 'active') this.#makeReady(message, 'returned', session);
  }

  #deadLetter(message: Message, why: Reason, properties?: Record<string, unknown>): void {
    copyToDeadLetters(this.deadLetters, this.settings.name, message, why, properties);
    this.#remove(message);
    this.deadLetters?.dispatch();
  }

  #expire(message: Message): void {
    // A locked message does not expire; it is looked at again when it is ready.
    if (!this.stock.has(message) || message.lock) return;
    trace(this.settings.name, message, 'expired');
    if (this.settings.deadLetterOnExpiry && this.deadLetters) this.#deadLetter(message, expired);
    else this.#remove(message);
  }

  #remove(message: Message): void {
    const session = this.#sessionOf(message);
    this.#locks.release(message, session);
    this.stock.remove(message, session);
    this.#journal.deleteMessage(message);
    if (session) this.sessions?.forgetIfDone(session);
  }

  #save(message: Message): void {
    this.#journal.putMessage(message);
  }

  receiveDeferred(sequences: readonly number[], consumer: Consumer, session?: Session): void {
    const found = sequences.map((sequence) => this.stock.get(sequence));
    if (found.some((message) => message?.state !== 'deferred' || message.lock))
      throw messageNotFound('it does not exist, or is not deferred.');
    for (const message of found) if (message) this.#handOver(message, consumer, session);
  }

  peek(from: number, count: number, sessionId?: string): Message[] {
    const peeked = peek(this, from, count, sessionId, this.#clock.now());
    const more = count - peeked.length;
    if (more <= 0 || !this.alsoPeeked?.stock.counts.scheduled) return peeked;
    return [...peeked, ...this.alsoPeeked.peek(from, more, sessionId)];
  }

  /** Deletes up to `count` messages that wait unlocked, enqueued before a time; answers how many. */
  purge(count: number, before: number, sessionId?: string): number {
    const chosen = waiting(this, count, before, sessionId);
    for (const message of chosen) this.#remove(message);
    return chosen.length;
  }

  // --- sessions ---------------------------------------------------------------------------------

  #sessionOf(message: Message): Session | undefined {
    const id = message.content.sessionId;
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
    this.#sequence.restore(kept.counter);
    for (const [key, duplicate] of kept.duplicates) this.#duplicates?.restore(key, duplicate);
    for (const [id, state] of kept.sessionStates)
      if (this.sessions) this.sessions.get(id).state = state;
    for (const [sequence, { meta, bare, hasOwnMeta }] of kept.messages)
      this.#restoreMessage({ ...fromMeta(sequence, meta, bare), hasOwnMeta }, releaseLocks);
  }

  #restoreMessage(message: Message, releaseLocks: boolean): void {
    const session = this.#sessionOf(message);
    this.stock.add(message, session);
    this.#lifetimes.watch(message);
    if (message.lock && (releaseLocks || session)) this.#giveBack(message, { counts: true });
    else if (message.lock) this.#locks.restore(message);
    else if (message.state === 'active') this.#makeReady(message, 'fresh', session);
  }

  /** Who receives is told to go. */
  end(fault: ServiceBusFault): void {
    this.#consumers.end(fault);
    this.sessions?.end(fault);
  }

  /** Removes everything, also from the store. */
  remove(): void {
    this.#removed = true;
    this.passOn(undefined);
    this.end(entityRemoved(this.settings.name));
    for (const message of [...this.stock.from(0)]) this.#remove(message);
    for (const id of [...(this.sessions?.withState() ?? [])])
      this.#journal.putSessionState(id, undefined);
    this.#duplicates?.clear();
    this.#sequence.clear();
    this.close();
  }

  close(): void {
    for (const part of [this.#locks, this.#lifetimes, this.sessions]) part?.close();
  }
}
