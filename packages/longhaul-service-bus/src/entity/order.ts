import TinyQueue from 'tinyqueue';

/**
 * Sequence numbers of messages that can be taken, smallest first.
 *
 * New messages come in order and wait in a plain list; those that come back (abandoned, lock over)
 * wait in a small heap. Taking one is O(1) for the former whatever the length of the queue.
 */
export class Order {
  #fresh: number[] = [];
  #at = 0;
  readonly #returned = new TinyQueue<number>([], (a, b) => a - b);

  append(sequence: number): void {
    const last = this.#fresh.at(-1);
    if (last !== undefined && sequence < last) this.#returned.push(sequence);
    else this.#fresh.push(sequence);
  }

  putBack(sequence: number): void {
    this.#returned.push(sequence);
  }

  first(): number | undefined {
    const fresh = this.#fresh[this.#at];
    const returned = this.#returned.peek();
    if (fresh === undefined || returned === undefined) return fresh ?? returned;
    return Math.min(fresh, returned);
  }

  shift(): number | undefined {
    const first = this.first();
    if (first === undefined) return undefined;
    if (first === this.#returned.peek()) this.#returned.pop();
    else this.#advance();
    return first;
  }

  #advance(): void {
    this.#at++;
    if (this.#at < 1024 || this.#at * 2 < this.#fresh.length) return;
    this.#fresh = this.#fresh.slice(this.#at);
    this.#at = 0;
  }
}
