import type { Clock } from '../ports.ts';
import { pause } from '../record/pause.ts';

// A cancel is heeded so soon.
const lookEveryMs = 1_000;

/** Lets so many a second pass. */
export class Pace {
  readonly #clock: Clock;
  readonly #everyMs: number;
  #next = 0;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#everyMs = 1000 / perSecond;
  }

  /** @throws the signal's reason */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const now = this.#clock.now().getTime();
    this.#next = Math.max(now, this.#next + this.#everyMs);
    for (let leftMs = this.#next - now; leftMs > 0; leftMs -= lookEveryMs) {
      await pause(this.#clock, Math.min(leftMs, lookEveryMs));
      signal.throwIfAborted();
    }
  }
}
