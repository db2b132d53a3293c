/** A broker in memory, as the rules see one: duplicates dropped, locks that can be lost, dead letters. */
import type { IncomingMessage, OutgoingMessage } from '../model/message.ts';
import type { DeadLetter, Delivery, LetterReader, LyingMessage, SessionState } from '../ports.ts';
import type { Call } from './stores.ts';

export interface Lying {
  message: OutgoingMessage;
  sequence: number;
  enqueuedAt: number;
  visibleAt: number;
  locked: boolean;
  deliveries: number;
}

// The queues' duplicateDetectionHistoryTimeWindow and maxDeliveryCount.
const rememberedMs = 3_600_000;
const maxDeliveries = 10;

export class Bus {
  readonly #queues = new Map<string, Lying[]>();
  readonly #letters = new Map<string, DeadLetter[]>();
  readonly #seen = new Map<string, number>();
  readonly #sessions = new Map<string, Buffer>();
  readonly #now: () => number;
  readonly #untaken: readonly string[];
  #sequence = 0;

  /** `untaken`: queues whose messages are for others than the app. */
  constructor(now: () => number, untaken: readonly string[]) {
    this.#now = now;
    this.#untaken = untaken;
  }

  send(message: OutgoingMessage): void {
    if (message.messageId.length > 128 || (message.sessionId ?? '').length > 128)
      throw new RangeError('Service Bus: an id has 128 characters at most.');
    const name = `${message.queue} ${message.messageId}`;
    const seen = this.#seen.get(name);
    if (seen !== undefined && seen + rememberedMs > this.#now()) return;
    this.#seen.set(name, this.#now());
    const queue = this.#queues.get(message.queue) ?? [];
    this.#queues.set(message.queue, queue);
    const visibleAt = message.at?.getTime() ?? 0;
    const enqueuedAt = Math.max(visibleAt, this.#now());
    const sequence = ++this.#sequence;
    queue.push({ message, sequence, enqueuedAt, visibleAt, locked: false, deliveries: 0 });
  }

  /** What can be taken now: single messages, of a session its first, or all of one in `batched`. */
  ready(batched: string): Lying[][] {
    const now = this.#now();
    return [...this.#queues].flatMap(([name, lying]) => {
      if (this.#untaken.includes(name)) return [];
      const visible = lying.filter(({ visibleAt, locked }) => visibleAt <= now && !locked);
      const sessions = new Map<string, Lying[]>();
      for (const one of visible) {
        const session = one.message.sessionId ?? `none ${one.sequence}`;
        // A session has one receiver, also while that one is dead and its lock is not.
        const isHeld = ({ message, locked, deliveries, visibleAt }: Lying) =>
          message.sessionId === session && (locked || (deliveries > 0 && visibleAt > now));
        if (lying.some(isHeld)) continue;
        sessions.set(session, [...(sessions.get(session) ?? []), one]);
      }
      return [...sessions.values()].map((of) => (name === batched ? of : of.slice(0, 1)));
    });
  }

  all(queue: string): OutgoingMessage[] {
    return (this.#queues.get(queue) ?? []).map(({ message }) => message);
  }

  nextVisibleAt(): number | undefined {
    let next: number | undefined;
    for (const queue of this.#queues.values())
      for (const { visibleAt } of queue)
        if (visibleAt > this.#now() && (next === undefined || visibleAt < next)) next = visibleAt;
    return next;
  }

  /** Somebody works on something still. */
  get hasLocked(): boolean {
    return [...this.#queues.values()].some((queue) => queue.some(({ locked }) => locked));
  }

  remove(one: Lying): void {
    const queue = this.#queues.get(one.message.queue) ?? [];
    const at = queue.indexOf(one);
    if (at >= 0) queue.splice(at, 1);
  }

  /** Nobody settled it: it is there again, or was handed over once too often. */
  giveBack(one: Lying): void {
    one.locked = false;
    if (++one.deliveries >= maxDeliveries)
      this.bury(one, 'MaxDeliveryCountExceeded', 'It was delivered ten times.');
  }

  bury(one: Lying, reason: string, description: string): void {
    this.remove(one);
    const letters = this.#letters.get(one.message.queue) ?? [];
    this.#letters.set(one.message.queue, letters);
    letters.push({
      sequence: (letters.at(-1)?.sequence ?? 0) + 1,
      message: toIncoming(one),
      reason,
      description,
    });
  }

  /** How many it has given up on, in all queues. */
  get deadLettered(): number {
    return [...this.#letters.values()].reduce((sum, { length }) => sum + length, 0);
  }

  letters(queue: string, after: number, limit: number): DeadLetter[] {
    const all = this.#letters.get(queue) ?? [];
    return all.filter(({ sequence }) => sequence > after).slice(0, limit);
  }

  look(queue: string, of?: 'dead letters'): LyingMessage[] {
    if (of)
      return (this.#letters.get(queue) ?? []).map(({ message }) => ({
        ...message,
        state: 'active',
        job: message.messageId,
      }));
    return (this.#queues.get(queue) ?? []).map(({ message, visibleAt, enqueuedAt }) => ({
      state: visibleAt > this.#now() ? 'scheduled' : 'active',
      sessionId: message.sessionId,
      enqueuedAt: new Date(enqueuedAt),
      job: String(message.properties['job'] ?? message.messageId),
    }));
  }

  openLetters(queue: string, call: Call): LetterReader {
    let last = 0;
    return {
      next: (limit) =>
        call(() => {
          const found = this.letters(queue, last, limit);
          last = found.at(-1)?.sequence ?? last;
          return found.map((letter) => ({
            ...letter,
            remove: () => call(() => this.#removeLetter(queue, letter.sequence)),
          }));
        }),
      close: async () => undefined,
    };
  }

  #removeLetter(queue: string, removed: number): void {
    const all = this.#letters.get(queue) ?? [];
    this.#letters.set(
      queue,
      all.filter(({ sequence }) => sequence !== removed),
    );
  }

  stateOf(session: string): Buffer | undefined {
    return this.#sessions.get(session);
  }

  setState(session: string, state: Buffer): void {
    this.#sessions.set(session, state);
  }
}

export const toIncoming = ({
  message,
  sequence,
  enqueuedAt,
  deliveries,
}: Lying): IncomingMessage => ({
  ...message,
  deliveries: deliveries + 1,
  body: Buffer.from(message.body),
  sequence: String(sequence),
  enqueuedAt: new Date(enqueuedAt),
});

/** What the receiver of a message may do with it, each as a call of its own that may fail. */
export interface Receiver {
  /** Answers the broker, once. */
  settle(how: () => void): Promise<void>;
  /** What only the holder of the session may do. */
  inSession<T>(act: () => T): Promise<T>;
  abandon(): Promise<void>;
}

/** One hand-over, as the pipeline takes it. */
export function toDelivery(bus: Bus, one: Lying, receiver: Receiver): Delivery {
  const { queue, sessionId } = one.message;
  const name = `${queue} ${sessionId}`;
  const session: SessionState = {
    get: () => receiver.inSession(() => bus.stateOf(name)),
    set: (state) => receiver.inSession(() => bus.setState(name, state)),
    release: async () => undefined,
  };
  return {
    message: toIncoming(one),
    complete: () => receiver.settle(() => bus.remove(one)),
    deadLetter: (reason, text) => receiver.settle(() => bus.bury(one, reason, text)),
    abandon: () => receiver.abandon(),
    ...(sessionId === undefined ? {} : { session }),
  };
}
