/** Time as the stand-ins see it; tests pass one that they advance by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once, `delayMs` from now; returns what cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

// setTimeout takes at most 2^31-1 ms and fires at once beyond it.
const longestTimeoutMs = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), longestTimeoutMs));
    return () => clearTimeout(timer);
  },
};
