/** The messages that one queue has: by sequence number, in order, counted. */
import { Ascending } from './ascending.ts';
import { bytesOf, type Message } from './message.ts';
import type { Session } from './session.ts';

export class Stock {
  readonly #messages = new Map<number, Message>();
  readonly #order = new Ascending((sequence) => this.#messages.has(sequence));
  readonly counts = { active: 0, deferred: 0, scheduled: 0 };
  /** Of bodies and properties. */
  bytes = 0;

  get size(): number {
    return this.#messages.size;
  }

  get(sequence: number): Message | undefined {
    return this.#messages.get(sequence);
  }

  has(message: Message): boolean {
    return this.#messages.get(message.sequence) === message;
  }

  /** The numbers of a session's messages, for `Session`. */
  index = () => new Ascending((sequence) => this.#messages.has(sequence));

  add(message: Message, session: Session | undefined): void {
    this.#messages.set(message.sequence, message);
    this.#order.add(message.sequence);
    session?.sequences.add(message.sequence);
    this.counts[message.state]++;
    this.bytes += bytesOf(message);
  }

  remove(message: Message, session: Session | undefined): void {
    if (!this.#messages.delete(message.sequence)) return;
    this.#order.remove();
    session?.sequences.remove();
    this.counts[message.state]--;
    this.bytes -= bytesOf(message);
  }

  changeState(message: Message, state: Message['state']): void {
    this.counts[message.state]--;
    message.state = state;
    this.counts[state]++;
  }

  changeBare(message: Message, bare: Buffer): void {
    this.bytes += bare.length - bytesOf(message);
    message.content.bare = bare;
  }

  /** In order, from a sequence number on; of one session or of all. */
  *from(sequence: number, session?: Session): Generator<Message> {
    for (const n of (session?.sequences ?? this.#order).from(sequence)) {
      const message = this.#messages.get(n);
      if (message) yield message;
    }
  }
}
