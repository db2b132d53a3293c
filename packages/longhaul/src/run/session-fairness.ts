/**
 * Lets a session go after its share, so that keys with thousands of jobs do not hold every receiver:
 * the broker then gives the receiver the session that has waited longest.
 */
import type { Clock, Delivery } from '../ports.ts';

// Often enough for who waits, seldom enough that taking a session costs little beside its jobs.
const jobsInTurn = 16;
const turnMs = 2_000;
const maxRemembered = 10_000;

export class SessionFairness {
  readonly #clock: Clock;
  readonly #turns = new Map<string, { jobs: number; since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called once a delivery is settled. */
  async next({ message: { queue, sessionId }, session }: Delivery): Promise<void> {
    if (!session) return;
    const name = `${queue} ${sessionId}`;
    const now = this.#clock.now().getTime();
    const turn = this.#turns.get(name) ?? { jobs: 0, since: now };
    turn.jobs++;
    if (turn.jobs < jobsInTurn && now - turn.since < turnMs) {
      if (this.#turns.size >= maxRemembered) this.#turns.clear();
      this.#turns.set(name, turn);
      return;
    }
    this.#turns.delete(name);
    // Gone already, it needs no letting go.
    await session.release().catch(() => undefined);
  }
}
