/**
 * Lets a handler go on, one thing at a time, and notices when it waits and nothing else is under way:
 * then its worker can go.
 *
 * A run that follows must take the way of the run before it, whatever the clock says by now. So what
 * had ended before ends again in the order that was kept, and what has come since ends after it, each
 * once the handler has made of the one before what it does.
 */
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

export class Suspension {
  readonly #orders: readonly number[];
  #next = 0;
  readonly #passed = new Set<number>();
  readonly #replayed: Held[] = [];
  readonly #waiting: { what: Awaited; go(): void }[] = [];
  readonly #whenIdle: (() => void)[] = [];
  #underWay = 0;
  #reading = 0;
  #looking = false;
  #closed = false;
  #suspend: (waits: Waits) => void = () => undefined;

  /** Resolves once the handler waits; from then on it is not to go on. */
  readonly suspended = new Promise<Waits>((resolve) => {
    this.#suspend = resolve;
  });

  /** `orders`: the numbers of what ended before. */
  constructor(orders: readonly number[] = []) {
    this.#orders = orders.toSorted((a, b) => a - b);
  }

  /** Work of the handler that has to end before it can be let go. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
      this.#look();
    }
  }

  /** Something that ended before, as number `order`: `read` is called when it is its turn. */
  async replay<T>(order: number | undefined, read: () => Promise<T>): Promise<T> {
    if (order !== undefined && order > this.#first)
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

  /** Resolves when it is there and the handler can do nothing else; maybe in another run only. */
  wait(what: Awaited): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ what, go });
      this.#look();
    });
  }

  /** Never settles: the handler is not to go further here. */
  stop(): Promise<never> {
    void this.wait({ since: () => undefined });
    return new Promise<never>(() => undefined);
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
    if (this.#replayed.length + this.#waiting.length + this.#whenIdle.length === 0) return;
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
      if (this.#underWay === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    const next = this.#replayed.toSorted((a, b) => a.order - b.order)[0];
    if (next) {
      this.#letGo(this.#replayed, next);
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
      this.#letGo(this.#waiting, first.one);
      return;
    }
    this.#closed = true;
    this.#suspend(this.#waits());
  }

  #letGo<T extends { go(): void }>(of: T[], one: T): void {
    of.splice(of.indexOf(one), 1);
    one.go();
    this.#look();
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
