/**
 * The rules of one queue, with no socket and no AMQP in sight.
 *
 * A message is active (ready or locked), deferred or scheduled. What changes is told to the journal;
 * `kept()` resolves when it survives the process.
 */
import type { Clock } from '../../clock.ts';
import { type Content, withApplicationProperties } from '../amqp/message.ts';
import type { EntityJournal, Kept } from '../store/journal.ts';
import type { Consumer, Settlement } from './consumer.ts';
import { Deadlines } from './deadlines.ts';
import { Duplicates } from './duplicates.ts';
import { messageNotFound, ServiceBusFault, sessionIdMissing } from './errors.ts';
import { Locks } from './locks.ts';
import { fromMeta, type Message, toMeta } from './message.ts';
import { Order } from './order.ts';
import { Sequence } from './sequence.ts';
import type { Session, SessionHolder } from './session.ts';
import { Sessions } from './sessions.ts';
import type { QueueSettings } from './settings.ts';

export class Queue {
  readonly settings: QueueSettings;
  /** Undefined on a queue without sessions. */
  readonly sessions: Sessions | undefined;
  readonly #clock: Clock;
  readonly #journal: EntityJournal;
  readonly #deadLetters: Queue | undefined;
  readonly #messages = new Map<number, Message>();
  readonly #ready = new Order();
  readonly #locks: Locks;
  readonly #consumers = new Set<Consumer>();
  readonly #duplicates: Duplicates | undefined;
  readonly #activations: Deadlines<Message>;
  readonly #expiries: Deadlines<Message>;
  readonly #sequence: Sequence;

  constructor(
    settings: QueueSettings,
    clock: Clock,
    journal: EntityJournal,
    deadLetters: Queue | undefined,
  ) {
    this.settings = settings;
    this.#clock = clock;
    this.#journal = journal;
    this.#sequence = new Sequence(journal);
    this.#deadLetters = deadLetters;
    if (settings.duplicateWindowMs !== undefined)
      this.#duplicates = new Duplicates(settings.duplicateWindowMs, clock, journal);
    const isGone = (message: Message) => this.#messages.get(message.sequence) !== message;
    this.#locks = new Locks(clock, settings.lockMs, (message) => {
      this.#giveBack(message, { counts: true });
      this.dispatch();
    });
    if (settings.requiresSession)
      this.sessions = new Sessions(clock, journal, {
        lockMs: settings.lockMs,
        hasReady: (session) => this.#firstReady(session.order) !== undefined,
        giveBack: (message) => this.#giveBack(message, { counts: true }),
      });
    this.#activations = new Deadlines(clock, (m) => this.#activate(m), isGone);
    this.#expiries = new Deadlines(clock, (m) => this.#expire(m), isGone);
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
    for (const content of contents) this.#check(content);
    const sequences = contents.map((content) => {
      if (this.#duplicates?.seenBefore(content.messageId)) return 0;
      return this.#add(content);
    });
    this.dispatch();
    return sequences;
  }

  #check(content: Content): void {
    if (this.settings.requiresSession && content.sessionId === undefined)
      throw sessionIdMissing(this.settings.name);
  }

  #add(content: Content, from?: { source: string; message: Message }): number {
    const now = this.#clock.now();
    const scheduled = !from && content.scheduledFor !== undefined && content.scheduledFor > now;
    const sequence = this.#sequence.take();
    const message: Message = {
      sequence,
      enqueuedSequence: from?.message.enqueuedSequence ?? sequence,
      enqueuedAt: now,
      expiresAt: undefined,
      state: scheduled ? 'scheduled' : 'active',
      deliveryCount: from?.message.deliveryCount ?? 0,
      lock: undefined,
      deadLetterSource: from?.source,
      content,
    };
    this.#messages.set(sequence, message);
    const session = this.#sessionOf(message);
    if (session) session.messages++;
    if (scheduled) message.enqueuedAt = content.scheduledFor ?? now;
    else this.#startLife(message);
    this.#journal.putMessage(sequence, toMeta(message), content.bare);
    if (scheduled) this.#activations.add(message.enqueuedAt, message);
    else this.#makeReady(message, 'fresh');
    return sequence;
  }

  #startLife(message: Message): void {
    const limits = [message.content.header.ttl, this.settings.ttlMs].filter((n) => n !== undefined);
    // A dead-letter queue keeps what it has until someone takes it (Learn: dead-letter queues).
    if (limits.length === 0 || message.deadLetterSource !== undefined) return;
    message.expiresAt = message.enqueuedAt + Math.min(...limits);
    this.#expiries.add(message.expiresAt, message);
  }

  #activate(message: Message): undefined {
    if (message.state !== 'scheduled' || !this.#messages.has(message.sequence)) return;
    // The service gives a scheduled message a new number when it becomes active.
    this.#messages.delete(message.sequence);
    this.#journal.deleteMessage(message.sequence);
    message.sequence = this.#sequence.take();
    message.state = 'active';
    this.#messages.set(message.sequence, message);
    this.#startLife(message);
    this.#journal.putMessage(message.sequence, toMeta(message), message.content.bare);
    this.#makeReady(message, 'fresh');
    this.dispatch();
  }

  cancelScheduled(sequences: readonly number[]): void {
    const found = sequences.map((sequence) => this.#messages.get(sequence));
    if (found.some((message) => message?.state !== 'scheduled'))
      throw messageNotFound('were they sent, cancelled or never scheduled?');
    for (const message of found) if (message) this.#remove(message);
  }

  // --- out --------------------------------------------------------------------------------------

  addConsumer(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.dispatch();
  }

  removeConsumer(consumer: Consumer): void {
    this.#consumers.delete(consumer);
  }

  /** Hands out what is ready; call it when a consumer has room again. */
  dispatch(): void {
    if (this.sessions) {
      this.sessions.match();
      return;
    }
    for (let message = this.#firstReady(this.#ready); message; ) {
      const consumer = this.#nextConsumer();
      if (!consumer) return;
      this.#ready.shift();
      this.#handOver(message, consumer);
      message = this.#firstReady(this.#ready);
    }
  }

  /** Round robin: who was served goes to the end of the set. */
  #nextConsumer(): Consumer | undefined {
    for (const consumer of this.#consumers) {
      if (consumer.room() <= 0) continue;
      this.#consumers.delete(consumer);
      this.#consumers.add(consumer);
      return consumer;
    }
    return undefined;
  }

  #firstReady(order: Order): Message | undefined {
    for (let first = order.first(); first !== undefined; first = order.first()) {
      const message = this.#messages.get(first);
      const expired = (message?.expiresAt ?? Number.POSITIVE_INFINITY) <= this.#clock.now();
      if (message && message.state === 'active' && !message.lock && !expired) return message;
      order.shift();
      if (message && expired) this.#expire(message);
    }
    return undefined;
  }

  #handOver(message: Message, consumer: Consumer, session?: Session): void {
    if (consumer.settlesFirst) {
      this.#remove(message);
      consumer.take(message);
      return;
    }
    this.#locks.take(message, session);
    this.#save(message);
    consumer.take(message);
  }

  /** Answers until when the lock holds now. */
  renewLock(token: string): number {
    const message = this.#locks.renew(token);
    this.#save(message);
    return message.lock?.until ?? 0;
  }

  // --- settlement -------------------------------------------------------------------------------

  settle(token: string, settlement: Settlement): void {
    const message = this.#locks.holder(token);
    switch (settlement.kind) {
      case 'complete':
        this.#remove(message);
        break;
      case 'abandon':
        this.#changeProperties(message, settlement.properties);
        this.#giveBack(message, { counts: this.settings.maxDeliveryCount !== undefined });
        break;
      case 'defer':
        this.#changeProperties(message, settlement.properties);
        this.#unlock(message);
        message.state = 'deferred';
        this.#save(message);
        break;
      case 'deadLetter':
        this.#deadLetter(message, settlement.properties ?? {}, settlement);
        break;
    }
    this.dispatch();
  }

  #changeProperties(message: Message, properties: Record<string, unknown> | undefined): void {
    if (!properties || Object.keys(properties).length === 0) return;
    message.content.bare = withApplicationProperties(message.content.bare, properties);
    this.#journal.putMessage(message.sequence, toMeta(message), message.content.bare);
  }

  #giveBack(message: Message, { counts }: { counts: boolean }): void {
    const session = this.#sessionOf(message);
    this.#unlock(message);
    if (counts) message.deliveryCount++;
    const limit = this.settings.maxDeliveryCount;
    if (limit !== undefined && message.deliveryCount >= limit) {
      this.#deadLetter(
        message,
        {},
        {
          reason: 'MaxDeliveryCountExceeded',
          description: `Message could not be consumed after ${limit} delivery attempts.`,
        },
      );
      return;
    }
    this.#save(message);
    if (message.state === 'active') this.#makeReady(message, 'returned', session);
  }

  #deadLetter(
    message: Message,
    properties: Record<string, unknown>,
    why: { reason?: string | undefined; description?: string | undefined },
  ): void {
    if (!this.#deadLetters)
      throw new ServiceBusFault(
        'amqp:not-allowed',
        'A message of a dead-letter queue cannot be dead-lettered: complete or abandon it.',
      );
    const bare = withApplicationProperties(message.content.bare, {
      ...properties,
      DeadLetterReason: why.reason,
      DeadLetterErrorDescription: why.description,
    });
    // In one group of the journal: the message is in one of the two queues, never in none.
    this.#deadLetters.#add({ ...message.content, bare }, { source: this.settings.name, message });
    this.#remove(message);
    this.#deadLetters.dispatch();
  }

  #expire(message: Message): undefined {
    if (this.#messages.get(message.sequence) !== message) return;
    // A locked message does not expire; it is looked at again when it is ready.
    if (message.lock) return;
    if (this.settings.deadLetterOnExpiry && this.#deadLetters)
      this.#deadLetter(
        message,
        {},
        {
          reason: 'TTLExpiredException',
          description: 'The message expired and was dead lettered.',
        },
      );
    else this.#remove(message);
  }

  #remove(message: Message): void {
    this.#unlock(message);
    this.#messages.delete(message.sequence);
    this.#journal.deleteMessage(message.sequence);
    const session = this.#sessionOf(message);
    if (!session) return;
    session.messages--;
    this.sessions?.forgetIfDone(session);
  }

  #unlock(message: Message): void {
    this.#locks.release(message, this.#sessionOf(message));
  }

  #save(message: Message): void {
    this.#journal.putMessage(message.sequence, toMeta(message));
  }

  // --- by sequence number -----------------------------------------------------------------------

  receiveDeferred(sequences: readonly number[], consumer: Consumer, session?: Session): void {
    const found = sequences.map((sequence) => this.#messages.get(sequence));
    if (found.some((message) => message?.state !== 'deferred' || message.lock))
      throw messageNotFound('it does not exist, or is not deferred.');
    for (const message of found) if (message) this.#handOver(message, consumer, session);
  }

  peek(from: number, count: number, sessionId?: string): Message[] {
    const peeked: Message[] = [];
    const now = this.#clock.now();
    // Insertion order is order of sequence numbers: activation inserts anew with a new number.
    for (const message of this.#messages.values()) {
      if (peeked.length >= count) break;
      if (message.sequence < from || (message.expiresAt ?? now + 1) <= now) continue;
      if (sessionId === undefined || message.content.sessionId === sessionId) peeked.push(message);
    }
    return peeked;
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

  // --- restart ----------------------------------------------------------------------------------

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
    for (const [sequence, meta] of kept.meta) {
      const bare = kept.bodies.get(sequence);
      if (bare) this.#restoreMessage(fromMeta(sequence, meta, bare), releaseLocks);
    }
  }

  #restoreMessage(message: Message, releaseLocks: boolean): void {
    this.#messages.set(message.sequence, message);
    const session = this.#sessionOf(message);
    if (session) session.messages++;
    if (message.expiresAt !== undefined) this.#expiries.add(message.expiresAt, message);
    if (message.state === 'scheduled') this.#activations.add(message.enqueuedAt, message);
    else if (message.lock && (releaseLocks || session)) this.#giveBack(message, { counts: true });
    else if (message.lock) {
      this.#locks.restore(message);
    } else if (message.state === 'active') this.#makeReady(message, 'fresh', session);
  }

  close(): void {
    for (const part of [this.#locks, this.#activations, this.#expiries, this.sessions])
      part?.close();
  }
}
