/** Notices when a handler waits and nothing else of it is under way: then its worker can go. */
import type { Waits } from '../model/job-record.ts';

export class Suspension {
  readonly #waits: { until?: string; events: string[]; children: string[] } = {
    events: [],
    children: [],
  };
  #waiting = false;
  #underWay = 0;
  #suspend: (waits: Waits) => void = () => undefined;

  /** Resolves once the handler waits; from then on it is not to go on. */
  readonly suspended = new Promise<Waits>((resolve) => {
    this.#suspend = resolve;
  });

  /** Work of the handler that has to end before it can be let go. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
      this.#check();
    }
  }

  /** Never settles: the handler is run again once what it waits for is there. */
  wait({ until, event, children }: { until?: string; event?: string; children?: string }) {
    const { until: before } = this.#waits;
    if (until && (!before || until < before)) this.#waits.until = until;
    if (event) this.#waits.events.push(event);
    if (children) this.#waits.children.push(children);
    this.#waiting = true;
    this.#check();
    return new Promise<never>(() => undefined);
  }

  #check(): void {
    if (!this.#waiting) return;
    // What the handler does next is begun by then: promises come before the loop's next turn.
    setImmediate(() =>
      setImmediate(() => {
        if (this.#underWay > 0) return;
        const { until, events, children } = this.#waits;
        this.#suspend({
          ...(until ? { until } : {}),
          ...(events.length > 0 ? { events } : {}),
          ...(children.length > 0 ? { children } : {}),
        });
      }),
    );
  }
}
