import type { Consumer } from './consumer.ts';
import type { ServiceBusFault } from './errors.ts';

/** Who receives from one queue, served in turns. */
export class Consumers {
  readonly #all = new Set<Consumer>();
  /** The one by which messages leave by themselves. */
  onward: Consumer | undefined;

  add(consumer: Consumer): void {
    this.#all.add(consumer);
  }

  remove(consumer: Consumer): void {
    this.#all.delete(consumer);
  }

  /** Round robin: who was served goes to the end. */
  next(): Consumer | undefined {
    for (const consumer of this.#all) {
      if (consumer.room() <= 0) continue;
      if (this.#all.size > 1) {
        this.#all.delete(consumer);
        this.#all.add(consumer);
      }
      return consumer;
    }
    return undefined;
  }

  /** All but `onward` are told to go. */
  end(fault: ServiceBusFault): void {
    for (const consumer of [...this.#all]) {
      if (consumer === this.onward) continue;
      this.#all.delete(consumer);
      consumer.gone?.(fault);
    }
  }
}
