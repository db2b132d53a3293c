/**
 * How many jobs run at once in this process. When all places are taken, a job of a lane that stands
 * earlier in topology.json is let in before those of later ones, whoever came first.
 *
 * A job may ask for less company (`crashes.ts`): it comes before all others, and while it waits for the
 * process to empty nobody else is let in, for a minute at most.
 */
import type { Clock } from '../ports.ts';

interface Waiting {
  /** So many may run at once with it, itself included. */
  company: number;
  enter(): void;
}

/** A place in the process. */
export interface Place {
  /** Nobody runs beside it, and nobody is let in. */
  isAlone: boolean;
  leave(): void;
}

const anyCompany = Number.POSITIVE_INFINITY;
// What runs beside it may take hours.
const patienceMs = 60_000;

export class ConcurrencyLimiter {
  readonly #places: number;
  readonly #clock: Clock;
  /** Who asked for less company. */
  readonly #wary = new Set<Waiting>();
  readonly #lanes: ReadonlyMap<string, Set<Waiting>>;
  #running = 0;
  /** Of those that run and asked for less: how many may. */
  readonly #asked = new Set<{ company: number }>();

  constructor(places: number, lanes: readonly { name: string }[], clock: Clock) {
    this.#places = places;
    this.#lanes = new Map(lanes.map(({ name }) => [name, new Set()]));
    this.#clock = clock;
  }

  /** Resolves with a place, or with undefined once `stopping`. */
  enter(lane: string, stopping: AbortSignal, company = anyCompany): Promise<Place | undefined> {
    if (stopping.aborted) return Promise.resolve(undefined);
    if (this.#isFree(company) && this.#next === undefined)
      return Promise.resolve(this.#take(company));
    return new Promise((resolve) => {
      const usual = this.#lanes.get(lane);
      const end = (place: Place | undefined) => {
        stopWaiting();
        stopping.removeEventListener('abort', giveUp);
        this.#wary.delete(waiting);
        usual?.delete(waiting);
        resolve(place);
      };
      const waiting = { company, enter: () => end(this.#take(waiting.company)) };
      const giveUp = () => end(undefined);
      const settleForLess = () => {
        waiting.company = anyCompany;
        this.#wary.delete(waiting);
        usual?.add(waiting);
        this.#letIn();
      };
      const isWary = company !== anyCompany;
      const stopWaiting = isWary ? this.#clock.after(patienceMs, settleForLess) : () => undefined;
      stopping.addEventListener('abort', giveUp);
      (isWary ? this.#wary : usual)?.add(waiting);
    });
  }

  #isFree(company: number): boolean {
    const most = Math.min(company, this.#places, ...[...this.#asked].map((one) => one.company));
    return this.#running < most;
  }

  #take(company: number): Place {
    const one = { company };
    this.#running++;
    if (company !== anyCompany) this.#asked.add(one);
    return {
      isAlone: company === 1,
      leave: () => {
        this.#running--;
        this.#asked.delete(one);
        this.#letIn();
      },
    };
  }

  /** Who is first of all that wait. */
  get #next(): Waiting | undefined {
    for (const waiting of [this.#wary, ...this.#lanes.values()])
      for (const first of waiting) return first;
    return undefined;
  }

  #letIn(): void {
    for (let next = this.#next; next && this.#isFree(next.company); next = this.#next) next.enter();
  }
}
