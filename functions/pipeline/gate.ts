/**
 * How many jobs run at once in this process. When all places are taken, a job of a lane that stands
 * earlier in topology.json is let in before those of later ones, whoever came first.
 */
export class Gate {
  readonly #order: readonly string[];
  readonly #waiting = new Map<string, Set<() => void>>();
  #free: number;

  constructor(places: number, lanes: readonly { name: string }[]) {
    this.#free = places;
    this.#order = lanes.map(({ name }) => name);
  }

  /** Resolves with what gives the place back, or with undefined once `stopping`. */
  async enter(lane: string, stopping: AbortSignal): Promise<(() => void) | undefined> {
    if (stopping.aborted) return undefined;
    if (this.#free > 0) this.#free--;
    else if (!(await this.#wait(lane, stopping))) return undefined;
    return () => this.#leave();
  }

  #wait(lane: string, stopping: AbortSignal): Promise<boolean> {
    const of = this.#waiting.get(lane) ?? new Set();
    this.#waiting.set(lane, of);
    return new Promise((resolve) => {
      const answer = (entered: boolean) => {
        stopping.removeEventListener('abort', giveUp);
        of.delete(enter);
        resolve(entered);
      };
      const enter = () => answer(true);
      const giveUp = () => answer(false);
      of.add(enter);
      stopping.addEventListener('abort', giveUp);
    });
  }

  #leave(): void {
    for (const lane of this.#order) {
      const [first] = this.#waiting.get(lane) ?? [];
      if (!first) continue;
      first();
      return;
    }
    this.#free++;
  }
}
