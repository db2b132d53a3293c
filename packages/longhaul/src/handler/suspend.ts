/**
 * Lets a handler go on, one thing at a time, and notices when it waits and nothing else is under way:
 * then its worker can go.
 *
 * A run that follows must take the way of the run before it, whatever the clock says by now. So what
 * had ended before ends again in the order that was kept, and what has come since ends after it, each
 * once the handler has made of the one before what it does.
 */
import TinyQueue from 'tinyqueue';
import type { Waits } from '../model/job-record.ts';

/** Something that a handler waits for. */
export interface Awaited {
  until?: string;
  event?: string;
  children?: string;
  /** When it came: a time, or '' where none is known; undefined while it has not. */
  since(): string | undefined;
}

interface Held {
  /** Which comes first. */
  order: number;
  go(): void;
}

/** Of what the handler does once it is let go: nothing is to come of it. */
export const never = (): Promise<never> => new Promise<never>(() => undefined);

const byOrder = (a: Held, b: Held) => a.order - b.order;

export class Suspension {
  readonly #orders: readonly number[];
  #next = 0;
  readonly #passed = new Set<number>();
  readonly #replayed = new TinyQueue<Held>([], byOrder);
  readonly #waiting: { what: Awaited; go(): void }[] = [];
  /** What ended in this run, and the handler has not seen yet. */
  readonly #ended = new TinyQueue<Held>([], byOrder);
  readonly #whenIdle: (() => void)[] = [];
  #underWay = 0;
  #reading = 0;
  #looking = false;
  #closed = false;
  /** The handler waits, and is not to go on in this run. */
  #isLet = false;
  #suspend: (waits: Waits) => void = () => undefined;

  /** Resolves once the handler waits; from then on it is not to go on. */
  readonly suspended = new Promise<Waits>((resolve) => {
    this.#suspend = resolve;
  });

  /** `orders`: the numbers of what ended before. */
  constructor(orders: readonly number[] = []) {
    this.#orders = orders.toSorted((a, b) => a - b);
  }

  /**
   * Work of the handler that has to end before it can be let go. `order`: the number of what it ended,
   * by which the handler sees it, in this run as in all that follow.
   */
  async during<T>(work: () => Promise<T>, order?: () => number): Promise<T> {
    if (this.#isLet) return never();
    this.#underWay++;
    try {
      return await work();
    } finally {
      if (order) await this.inOrder(order());
      this.#underWay--;
      this.#look();
    }
  }

  /** Resolves when the handler may see what ended as number `order`. */
  async inOrder(order: number): Promise<void> {
    const isAlone = this.#replayed.length + this.#reading + this.#ended.length === 0;
    if (this.#closed || (isAlone && this.#underWay <= 1)) return;
    await new Promise<void>((go) => {
      this.#ended.push({ order, go });
      this.#look();
    });
  }

  /** Something that ended before, as number `order`: `read` is called when it is its turn. */
  async replay<T>(order: number | undefined, read: () => Promise<T>): Promise<T> {
    if (this.#isLet) return never();
    if (order !== undefined && (order > this.#first || this.#reading > 0))
      await new Promise<void>((go) => {
        this.#replayed.push({ order, go });
        this.#look();
      });
    if (order !== undefined) this.#passed.add(order);
    this.#reading++;
    try {
      return await read();
    } finally {
      this.#reading--;
      this.#look();
    }
  }

  /**
   * Resolves when it is there and the handler can do nothing else; maybe in another run only. True when
   * another wait was open too, which might have ended in its place.
   */
  wait(what: Awaited): Promise<boolean> {
    if (this.#isLet) return never();
    return new Promise((resolve) => {
      this.#waiting.push({ what, go: () => resolve(this.#waiting.length > 0) });
      this.#look();
    });
  }

  /** The handler has ended: it waits for nothing any more. Resolves once nothing of it is under way. */
  close(): Promise<void> {
    this.#closed = true;
    if (this.#underWay + this.#reading === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.#look();
    });
  }

  /** The lowest number that has not come up in this run. */
  get #first(): number {
    for (;;) {
      const first = this.#orders[this.#next];
      if (first === undefined) return Number.POSITIVE_INFINITY;
      if (!this.#passed.has(first)) return first;
      this.#next++;
    }
  }

  #look(): void {
    if (this.#looking) return;
    const held = [this.#replayed, this.#ended, this.#waiting, this.#whenIdle];
    if (held.every(({ length }) => length === 0)) return;
    this.#looking = true;
    // What the handler does next is begun by then: promises come before the loop's next turn.
    setImmediate(() =>
      setImmediate(() => {
        this.#looking = false;
        this.#goOn();
      }),
    );
  }

  #goOn(): void {
    if (this.#reading > 0) return;
    if (this.#closed) {
      for (let one = this.#ended.pop(); one; one = this.#ended.pop()) one.go();
      if (this.#underWay === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    // What ended before comes before what ended now.
    for (const of of [this.#replayed, this.#ended]) {
      const next = of.pop();
      if (!next) continue;
      next.go();
      this.#look();
      return;
    }
    if (this.#underWay > 0 || this.#waiting.length === 0) return;
    const [first] = this.#waiting
      .flatMap((one) => {
        const since = one.what.since();
        return since === undefined ? [] : [{ one, since }];
      })
      .sort((a, b) => (a.since < b.since ? -1 : a.since > b.since ? 1 : 0));
    if (first) {
      this.#waiting.splice(this.#waiting.indexOf(first.one), 1);
      first.one.go();
      this.#look();
      return;
    }
    this.#closed = true;
    this.#isLet = true;
    this.#suspend(this.#waits());
  }

  #waits(): Waits {
    const all = this.#waiting.map(({ what }) => what);
    const until = all.flatMap((what) => what.until ?? []).sort()[0];
    const events = all.flatMap(({ event }) => event ?? []);
    const children = all.flatMap((what) => what.children ?? []);
    return {
      ...(until ? { until } : {}),
      ...(events.length > 0 ? { events } : {}),
      ...(children.length > 0 ? { children } : {}),
    };
  }
}
