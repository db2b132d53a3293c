/** One look at the store feeds all who watch: its cost follows what is watched, not by how many. */

import type { Clock } from '../ports.ts';
import { pause } from '../record/pause.ts';

const maxNames = 5_000;

export class Feed<T> {
  readonly #watched = new Map<string, Set<(news: T) => void>>();
  readonly #read: (names: string[]) => Promise<Map<string, T>>;
  readonly #clock: Clock;
  readonly #everyMs: number;
  #looking = false;

  /** `read` answers what there is of these names; it is called while somebody watches. */
  constructor(read: (names: string[]) => Promise<Map<string, T>>, clock: Clock, everyMs: number) {
    this.#read = read;
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Each name costs a question to the store at each look. */
  get isFull(): boolean {
    return this.#watched.size >= maxNames;
  }

  /** Calls `tell` with each look at what `name` stands for; answers what ends it. */
  watch(name: string, tell: (news: T) => void): () => void {
    const watchers = this.#watched.get(name) ?? new Set();
    this.#watched.set(name, watchers.add(tell));
    if (!this.#looking) void this.#look();
    return () => {
      watchers.delete(tell);
      if (watchers.size === 0) this.#watched.delete(name);
    };
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#watched.size > 0) {
      // Storage may be out of reach for a while: who watches waits.
      const found = await this.#read([...this.#watched.keys()]).catch(() => new Map<string, T>());
      for (const [name, news] of found)
        for (const tell of [...(this.#watched.get(name) ?? [])]) toldOrGone(tell, news);
      await pause(this.#clock, this.#everyMs);
    }
    this.#looking = false;
  }
}

/** One who cannot be told must not hold up the others: his stream has broken. */
function toldOrGone<T>(tell: (news: T) => void, news: T): void {
  try {
    tell(news);
  } catch {
    // It is closed by who opened it.
  }
}
