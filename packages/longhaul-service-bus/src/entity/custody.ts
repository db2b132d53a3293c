/** What becomes of the messages that a queue has: settled, given back, dead-lettered, expired, set aside. */
import { withApplicationProperties } from '../amqp/message.ts';
import type { EntityJournal } from '../store/journal.ts';
import type { BrokerClock } from '../time.ts';
import { trace } from '../trace.ts';
import type { Settlement } from './consumer.ts';
import { copyToDeadLetters, deliveredTooOften, expired, type Reason } from './dead-letter.ts';
import { Lifetimes } from './lifetimes.ts';
import { Locks } from './locks.ts';
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';

/** What it asks of its queue. */
export interface CustodyOf {
  activate(message: Message): void;
  sessionOf(message: Message): Session | undefined;
  /** It can be taken again. */
  ready(message: Message, session: Session | undefined): void;
}

export class Custody {
  readonly locks: Locks;
  readonly lifetimes: Lifetimes;
  readonly #queue: Queue;
  readonly #clock: BrokerClock;
  readonly #journal: EntityJournal;
  readonly #of: CustodyOf;

  constructor(queue: Queue, clock: BrokerClock, journal: EntityJournal, of: CustodyOf) {
    this.#queue = queue;
    this.#clock = clock;
    this.#journal = journal;
    this.#of = of;
    const failed = (message: Message, fault: unknown) => this.setAside(message, fault);
    this.locks = new Locks(clock, queue.settings, (message) => this.#lockEnded(message), failed);
    this.lifetimes = new Lifetimes(clock, queue.settings, {
      activate: (message) => of.activate(message),
      expire: (message) => this.expire(message),
      isGone: (message) => !queue.stock.has(message),
      failed,
    });
  }

  /** Of a message that somebody has locked. @throws ServiceBusFault */
  settle(message: Message, settlement: Settlement): void {
    trace(this.#queue.settings.name, message, settlement.kind);
    switch (settlement.kind) {
      case 'complete':
        this.remove(message);
        break;
      case 'abandon':
        this.#changeProperties(message, settlement.properties);
        this.giveBack(message, { counts: true });
        break;
      case 'defer':
        this.#changeProperties(message, settlement.properties);
        this.#queue.stock.changeState(message, 'deferred');
        this.giveBack(message, { counts: true });
        break;
      case 'deadLetter':
        this.deadLetter(message, settlement, settlement.properties);
        break;
    }
  }

  /** Its lock is over, and it is still there: ready again, or had by its number if it is deferred. */
  giveBack(message: Message, { counts }: { counts: boolean }): void {
    const session = this.#of.sessionOf(message);
    this.locks.release(message, session);
    const { settings, stock } = this.#queue;
    if (!stock.has(message)) return;
    // Dead letters may be taken as often as somebody likes.
    if (counts && settings.role !== 'deadLetters') message.deliveryCount++;
    const limit = settings.maxDeliveryCount;
    if (limit !== undefined && message.deliveryCount >= limit) {
      this.deadLetter(message, deliveredTooOften(limit));
      return;
    }
    this.#journal.putMessage(message);
    this.lifetimes.watchAgain(message, this.#clock.now());
    if (message.state === 'active') this.#of.ready(message, session);
  }

  /** @throws ServiceBusFault in a dead-letter queue */
  deadLetter(message: Message, why: Reason, properties?: Record<string, unknown>): void {
    const { deadLetters, settings } = this.#queue;
    copyToDeadLetters(deadLetters, settings.name, message, why, properties);
    this.remove(message);
    deadLetters?.dispatch();
  }

  expire(message: Message): void {
    // A locked message does not expire; it is looked at again when its lock is over. A deferred one is
    // looked at when somebody asks for it (Learn: message deferral).
    if (!this.#queue.stock.has(message) || message.lock || message.state === 'deferred') return;
    this.expireNow(message);
  }

  expireNow(message: Message): void {
    const { deadLetters, settings } = this.#queue;
    trace(settings.name, message, 'expired');
    if (settings.deadLetterOnExpiry && deadLetters) this.deadLetter(message, expired);
    else this.remove(message);
  }

  remove(message: Message): void {
    const session = this.#forget(message);
    this.#journal.deleteMessage(message);
    if (session) this.#queue.sessions?.forgetIfDone(session);
  }

  /**
   * What the broker cannot deal with is out of its way, also at the next start; its bytes stay in the
   * store.
   */
  setAside(message: Message, fault: unknown): void {
    this.#forget(message);
    this.#journal.setAside(message);
    process.emitWarning(
      `Message ${message.sequence} of ${this.#queue.settings.name} was set aside: ${fault}`,
    );
  }

  close(): void {
    this.locks.close();
    this.lifetimes.close();
  }

  #forget(message: Message): Session | undefined {
    const session = this.#of.sessionOf(message);
    this.locks.release(message, session);
    this.#queue.stock.remove(message, session);
    return session;
  }

  #lockEnded(message: Message): void {
    trace(this.#queue.settings.name, message, 'lock ended');
    this.giveBack(message, { counts: true });
    this.#queue.dispatch();
  }

  #changeProperties(message: Message, properties: Record<string, unknown> | undefined): void {
    if (!properties || Object.keys(properties).length === 0) return;
    const bare = withApplicationProperties(message.content.bare, properties);
    this.#queue.stock.changeBare(message, bare);
    this.#journal.putMessage(message, { withBody: true });
  }
}
