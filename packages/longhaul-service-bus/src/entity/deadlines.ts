import TinyQueue from 'tinyqueue';
import type { Clock } from '../clock.ts';

interface Entry<T> {
  at: number;
  /** Of those of one time the first that was put in is the first that is due. */
  n: number;
  item: T;
}

// So soon it is noticed that somebody set the clock.
const longestWaitMs = 10_000;

const before = <T>(a: Entry<T>, b: Entry<T>) => a.at - b.at || a.n - b.n;

export interface DeadlinesOptions<T> {
  /** Calls back: acts on an item and answers when to ask again, if ever. */
  due: (item: T, now: number) => number | undefined;
  /** Says that an item can be forgotten. */
  isOver: (item: T) => boolean;
  /** Told of an item on which `due` failed: it is not asked about again, and the others go on. */
  failed: (item: T, fault: unknown) => void;
  /** The time that deadlines are in; default that of the clock on the wall. */
  now?: () => number;
}

/**
 * Calls back when an item's time has come: lock ends, activations, expiries.
 *
 * Moving a deadline costs nothing: the item stays where it was first put, and `due` answers with its
 * later time. Items that are over are forgotten when their time comes, or when they outnumber the
 * live ones, so that a long deadline does not keep what was settled long ago.
 */
export class Deadlines<T> {
  #heap = new TinyQueue<Entry<T>>([], before);
  #timer: { at: number; cancel: () => void } | undefined;
  #compactAt = 4096;
  #count = 0;
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #options: DeadlinesOptions<T>;

  constructor(clock: Clock, options: DeadlinesOptions<T>) {
    this.#clock = clock;
    this.#now = options.now ?? (() => clock.now());
    this.#options = options;
  }

  add(at: number, item: T): void {
    this.#heap.push({ at, n: this.#count++, item });
    if (this.#heap.length > this.#compactAt) this.#compact();
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#heap = new TinyQueue<Entry<T>>([], before);
  }

  #compact(): void {
    const live = this.#heap.data.filter(({ item }) => !this.#options.isOver(item));
    this.#heap = new TinyQueue(live, before);
    this.#compactAt = Math.max(4096, live.length * 2);
  }

  #arm(): void {
    const next = this.#heap.peek();
    if (!next || (this.#timer && this.#timer.at <= next.at)) return;
    this.#timer?.cancel();
    const now = this.#now();
    const at = Math.min(next.at, now + longestWaitMs);
    this.#timer = { at, cancel: this.#clock.after(at - now, () => this.#fire()) };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#now();
    for (let next = this.#heap.peek(); next && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      const again = this.#ask(next.item, now);
      if (again !== undefined)
        this.#heap.push({ at: Math.max(again, now + 1), n: next.n, item: next.item });
    }
    this.#arm();
  }

  #ask(item: T, now: number): number | undefined {
    try {
      return this.#options.due(item, now);
    } catch (fault) {
      this.#options.failed(item, fault);
      return undefined;
    }
  }
}
