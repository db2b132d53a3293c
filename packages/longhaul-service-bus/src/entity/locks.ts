/** The locks on one queue's messages: by token, and when they end. */
import { randomUUID } from 'node:crypto';
import type { BrokerClock } from '../time.ts';
import type { Consumer } from './consumer.ts';
import { Deadlines } from './deadlines.ts';
import { lockLost, ServiceBusFault } from './errors.ts';
import type { Message } from './message.ts';
import type { Session } from './session.ts';
import type { QueueSettings } from './settings.ts';

/** Until when a lock holds that is taken now: as the client is told, and by what will have passed. */
export const lockFor = (clock: BrokerClock, lockMs: number) => ({
  until: clock.now() + lockMs,
  ends: clock.elapsed() + lockMs,
});

export class Locks {
  readonly #byToken = new Map<string, Message>();
  readonly #ends: Deadlines<Message>;
  readonly #clock: BrokerClock;
  readonly #settings: Pick<QueueSettings, 'lockMs'>;

  /** `ended` is told of a message whose lock nobody renewed, `failed` of one where that threw. */
  constructor(
    clock: BrokerClock,
    settings: Pick<QueueSettings, 'lockMs'>,
    ended: (message: Message) => void,
    failed: (message: Message, fault: unknown) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#ends = new Deadlines(clock, {
      now: () => clock.elapsed(),
      due: (message, now) => {
        if (!message.lock || !this.#byToken.has(message.lock.token)) return undefined;
        if (message.lock.ends > now) return message.lock.ends;
        ended(message);
        return undefined;
      },
      isOver: (message) => !message.lock,
      failed,
    });
  }

  /** In a session the session's lock is what ends; the message's only names it. */
  take(message: Message, taker: Consumer, session?: Session): void {
    const { until, ends } = session?.lock ?? lockFor(this.#clock, this.#settings.lockMs);
    message.lock = { token: randomUUID(), until, ends, sessionId: session?.id, taker };
    this.#byToken.set(message.lock.token, message);
    if (session) session.locked.add(message);
    else this.#ends.add(ends, message);
  }

  /** A lock that was taken before the broker's restart. */
  restore(message: Message): void {
    const { lock } = message;
    if (!lock) return;
    this.#byToken.set(lock.token, message);
    // Never longer than one that is taken now, whatever the clock says.
    const left = Math.min(lock.until - this.#clock.now(), this.#settings.lockMs);
    lock.ends = this.#clock.elapsed() + left;
    this.#ends.add(lock.ends, message);
  }

  release(message: Message, session?: Session): void {
    const { lock } = message;
    if (!lock) return;
    this.#byToken.delete(lock.token);
    session?.locked.delete(message);
    message.lock = undefined;
    lock.taker?.forget?.(lock.token);
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
    if (message.lock) Object.assign(message.lock, lockFor(this.#clock, this.#settings.lockMs));
    return message;
  }

  close(): void {
    this.#ends.close();
  }
}
