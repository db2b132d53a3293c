import TinyQueue from 'tinyqueue';
import type { Clock } from '../../clock.ts';

interface Entry<T> {
  at: number;
  item: T;
}

/**
 * Calls back when an item's time has come: lock ends, activations, expiries.
 *
 * Moving a deadline costs nothing: the item stays where it was first put, and `due` answers with its
 * later time. Items that are over are forgotten when their time comes, or when they outnumber the
 * live ones, so that a long deadline does not keep what was settled long ago.
 */
export class Deadlines<T> {
  #heap = new TinyQueue<Entry<T>>([], (a, b) => a.at - b.at);
  #timer: { at: number; cancel: () => void } | undefined;
  #compactAt = 4096;
  readonly #clock: Clock;
  readonly #due: (item: T, now: number) => number | undefined;
  readonly #isOver: (item: T) => boolean;

  /** `due` acts on an item and answers when to ask again, if ever; `isOver` says it can be forgotten. */
  constructor(
    clock: Clock,
    due: (item: T, now: number) => number | undefined,
    isOver: (item: T) => boolean,
  ) {
    this.#clock = clock;
    this.#due = due;
    this.#isOver = isOver;
  }

  add(at: number, item: T): void {
    this.#heap.push({ at, item });
    if (this.#heap.length > this.#compactAt) this.#compact();
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#heap = new TinyQueue<Entry<T>>();
  }

  #compact(): void {
    const live = this.#heap.data.filter(({ item }) => !this.#isOver(item));
    this.#heap = new TinyQueue(live, (a, b) => a.at - b.at);
    this.#compactAt = Math.max(4096, live.length * 2);
  }

  #arm(): void {
    const next = this.#heap.peek();
    if (!next || (this.#timer && this.#timer.at <= next.at)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(next.at - this.#clock.now(), () => this.#fire());
    this.#timer = { at: next.at, cancel };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let next = this.#heap.peek(); next && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      const again = this.#due(next.item, now);
      if (again !== undefined) this.#heap.push({ at: Math.max(again, now + 1), item: next.item });
    }
    this.#arm();
  }
}
