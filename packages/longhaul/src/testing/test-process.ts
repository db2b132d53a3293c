/** A process that works on jobs, and may die: from then on none of its calls to the outside returns. */
import { setImmediate as hop } from 'node:timers/promises';
import type { Lying } from './bus.ts';
import type { Call } from './stores.ts';

/** Whom a test lets die, and where. One for each app. */
export class Deaths {
  /** The calls of all workers so far, by their port. */
  readonly calls: string[] = [];
  readonly #at: number | undefined;

  /** `at`: the worker that makes this call dies before it, from 1. */
  constructor(at?: number) {
    this.#at = at;
  }

  get hasCome(): boolean {
    return this.#at !== undefined && this.calls.length >= this.#at;
  }

  /** True when the call is not to be made. */
  comesAt(port: string): boolean {
    this.calls.push(port);
    return this.calls.length === this.#at;
  }
}

export class TestProcess {
  isDead = false;
  /** It dies at its next call. */
  isDoomed = false;
  readonly #deaths: Deaths;
  readonly #called: () => void;
  readonly #died: () => void;

  constructor(deaths: Deaths, called: () => void, died: () => void) {
    this.#deaths = deaths;
    this.#called = called;
    this.#died = died;
  }

  callOf(port: string): Call {
    return async (act) => {
      // As real I/O would: a handler that never ends is not to hold up the test that watches it.
      await hop();
      if (this.isDead) return never();
      this.#called();
      if (this.#deaths.comesAt(port) || this.isDoomed) {
        this.die();
        return never();
      }
      return act();
    };
  }

  die(): void {
    this.isDead = true;
    this.#died();
  }
}

const never = (): Promise<never> => new Promise<never>(() => undefined);

/** One hand-over by the broker that a process works on. */
export class Handing {
  readonly process: TestProcess;
  /** Undefined for news. */
  readonly job: string | undefined;
  held: Lying[];
  /** What of the author's code is under way in it: the handler, its steps. */
  readonly open = new Set<{ what: string }>();
  /** Real time. */
  readonly since = performance.now();
  /** The handler's. */
  signal: AbortSignal | undefined;
  /** The test waited for it to run: it moves the clock while it does. */
  wasSeen = false;
  /** When it was noticed that the handler is to stop, in real time. */
  stoppingSince: number | undefined;
  readonly #moved: () => void;

  constructor(process: TestProcess, held: Lying[], job: string | undefined, moved: () => void) {
    this.process = process;
    this.held = held;
    this.job = job;
    this.#moved = moved;
  }

  get isAtWork(): boolean {
    return this.open.size > 0;
  }

  /** Runs a piece of the author's code, known as under way. */
  async during<T>(what: string, act: () => T | Promise<T>): Promise<T> {
    const one = { what };
    this.open.add(one);
    this.#moved();
    try {
      return await act();
    } finally {
      this.open.delete(one);
      this.#moved();
    }
  }
}
