/** Whether anything goes on, told by those who do something. */
import { setImmediate as hop } from 'node:timers/promises';

// What the pipeline does between two calls takes a few turns of the event loop.
const quietTurns = 10;
// A handler may go on and on.
const mostTurns = 1_000;

export class Activity {
  #stirs = 0;
  readonly #waiting = new Set<() => void>();

  /** A call to the outside, a timer. */
  stir(): void {
    this.#stirs++;
  }

  /** Something of the author's code, or a delivery, began or ended. */
  move(): void {
    this.#stirs++;
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  /** Some turns of the event loop; true once nothing has stirred in the last of them. */
  async pause(): Promise<boolean> {
    let quiet = 0;
    for (let turn = 0, seen = this.#stirs; turn < mostTurns && quiet < quietTurns; turn++) {
      await hop();
      quiet = seen === this.#stirs ? quiet + 1 : 0;
      seen = this.#stirs;
    }
    return quiet === quietTurns;
  }

  /** True as soon as something moves; false when nothing does for so long, in real time. */
  within(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const moved = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(moved);
        resolve(false);
      }, ms);
      this.#waiting.add(moved);
    });
  }
}
