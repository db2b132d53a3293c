/**
 * Messages that leave a queue by themselves: to the queue it forwards to, or from a topic to its
 * subscriptions. Leaving one and entering the other is one group of the journal.
 */
import type { Consumer } from './consumer.ts';
import type { Message } from './message.ts';

/** Takes all there is, at once, and passes it on. */
export class Onward implements Consumer {
  readonly settlesFirst = true;
  readonly #pass: (message: Message) => void;

  constructor(pass: (message: Message) => void) {
    this.#pass = pass;
  }

  room(): number {
    return Number.POSITIVE_INFINITY;
  }

  take(message: Message): void {
    this.#pass(message);
  }
}
