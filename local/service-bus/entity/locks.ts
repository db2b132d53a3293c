/** The locks on one queue's messages: by token, and when they end. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { Deadlines } from './deadlines.ts';
import { lockLost, ServiceBusFault } from './errors.ts';
import type { Message } from './message.ts';
import type { Session } from './session.ts';
import type { QueueSettings } from './settings.ts';

export class Locks {
  readonly #byToken = new Map<string, Message>();
  readonly #ends: Deadlines<Message>;
  readonly #clock: Clock;
  readonly #settings: Pick<QueueSettings, 'lockMs'>;

  /** `ended` is told of a message whose lock nobody renewed. */
  constructor(
    clock: Clock,
    settings: Pick<QueueSettings, 'lockMs'>,
    ended: (message: Message) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#ends = new Deadlines(
      clock,
      (message, now) => {
        if (!message.lock || !this.#byToken.has(message.lock.token)) return undefined;
        if (message.lock.until > now) return message.lock.until;
        ended(message);
        return undefined;
      },
      (message) => !message.lock,
    );
  }

  /** In a session the session's lock is what ends; the message's only names it. */
  take(message: Message, session?: Session): void {
    const until = session?.lock?.until ?? this.#clock.now() + this.#settings.lockMs;
    message.lock = { token: randomUUID(), until, sessionId: session?.id };
    this.#byToken.set(message.lock.token, message);
    if (session) session.locked.add(message);
    else this.#ends.add(until, message);
  }

  /** A lock that was taken before the broker's restart. */
  restore(message: Message): void {
    if (!message.lock) return;
    this.#byToken.set(message.lock.token, message);
    this.#ends.add(message.lock.until, message);
  }

  release(message: Message, session?: Session): void {
    if (!message.lock) return;
    this.#byToken.delete(message.lock.token);
    session?.locked.delete(message);
    message.lock = undefined;
  }

  /** @throws ServiceBusFault when the lock has ended */
  holder(token: string): Message {
    const message = this.#byToken.get(token);
    if (!message) throw lockLost();
    return message;
  }

  /** @throws ServiceBusFault when the lock has ended, or is a session's */
  renew(token: string): Message {
    const message = this.holder(token);
    if (message.lock?.sessionId !== undefined)
      throw new ServiceBusFault(
        'amqp:not-allowed',
        'A message of a session has no lock of its own: renew the lock of the session.',
      );
    message.lock = { token, until: this.#clock.now() + this.#settings.lockMs };
    return message;
  }

  close(): void {
    this.#ends.close();
  }
}
