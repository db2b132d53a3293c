/** Sequence numbers in rising order, of which any may leave: found from any number on by halving. */
export class Ascending {
  #all: number[] = [];
  #gone = 0;
  readonly #has: (n: number) => boolean;

  /** `has` tells whether a number that was added is still in. */
  constructor(has: (n: number) => boolean) {
    this.#has = has;
  }

  get size(): number {
    return this.#all.length - this.#gone;
  }

  add(n: number): void {
    const last = this.#all.at(-1);
    if (last === undefined || n > last) this.#all.push(n);
    else this.#all.splice(this.#from(n), 0, n);
  }

  /** Call it after `has` says no. */
  remove(): void {
    this.#gone++;
    if (this.#gone < 1024 || this.#gone * 2 < this.#all.length) return;
    this.#all = this.#all.filter(this.#has);
    this.#gone = 0;
  }

  *from(n: number): Generator<number> {
    for (let at = this.#from(n); at < this.#all.length; at++) {
      const number = this.#all[at];
      if (number !== undefined && this.#has(number)) yield number;
    }
  }

  #from(n: number): number {
    return firstNot(this.#all.length, (at) => (this.#all[at] ?? 0) < n);
  }
}

/** The first of so many places of which `isBefore` does not hold; for those before it, it does. */
export function firstNot(length: number, isBefore: (at: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
