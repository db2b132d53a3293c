/** When the messages of one queue begin, and when they expire. */

import type { BrokerClock } from '../time.ts';
import { Deadlines } from './deadlines.ts';
import type { Message } from './message.ts';
import type { QueueSettings } from './settings.ts';

export class Lifetimes {
  readonly #activations: Deadlines<Message>;
  readonly #expiries: Deadlines<Message>;
  readonly #settings: QueueSettings;

  constructor(
    clock: BrokerClock,
    settings: QueueSettings,
    events: {
      activate(message: Message): void;
      expire(message: Message): void;
      isGone(message: Message): boolean;
      failed(message: Message, fault: unknown): void;
    },
  ) {
    this.#settings = settings;
    const once = (act: (message: Message) => void) => (message: Message) => {
      act(message);
      return undefined;
    };
    const { isGone: isOver, failed } = events;
    this.#activations = new Deadlines(clock, { due: once(events.activate), isOver, failed });
    this.#expiries = new Deadlines(clock, { due: once(events.expire), isOver, failed });
  }

  /** The message is active from now on: sets when it expires, if it does. */
  start(message: Message): void {
    const { header } = message.content;
    const limits = [header.ttl, this.#settings.ttlMs].filter((n) => n !== undefined);
    // A dead-letter queue keeps what it has until someone takes it (Learn: dead-letter queues).
    if (limits.length === 0 || this.#settings.role === 'deadLetters') return;
    const ttl = Math.min(...limits);
    // The service lowers a message's own to that of the queue.
    if (ttl !== header.ttl && ttl < 2 ** 32)
      message.content = { ...message.content, header: { ...header, ttl } };
    message.expiresAt = message.enqueuedAt + ttl;
  }

  /** To be called for every message once, when it is in the queue, and when it became active. */
  watch(message: Message): void {
    if (message.state === 'scheduled') this.#activations.add(message.enqueuedAt, message);
    else if (message.expiresAt !== undefined) this.#expiries.add(message.expiresAt, message);
  }

  /** Its lock is over: did it expire meanwhile? */
  watchAgain(message: Message, now: number): void {
    if (message.expiresAt !== undefined && message.expiresAt <= now) this.watch(message);
  }

  close(): void {
    this.#activations.close();
    this.#expiries.close();
  }
}
