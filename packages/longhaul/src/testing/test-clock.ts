/**
 * Time that stands still until a test moves it. What the pipeline itself waits for (a handler's timeout,
 * the look for a cancel) rings when the clock is moved past it, or once so much time has really gone by:
 * then the clock says so too.
 */
import { setImmediate as hop } from 'node:timers/promises';
import type { Clock } from '../ports.ts';

interface Timer {
  at: number;
  run(): void;
  real: NodeJS.Timeout | undefined;
}

// Node's documentation of setTimeout: a longer delay becomes 1. Nobody sits through a test of that length.
const longestMs = 2 ** 31 - 1;
const turnsBefore = 100;

export class TestClock {
  readonly #timers = new Set<Timer>();
  readonly #rang: () => void;
  #now: number;

  /** `rang` is called after each timer. */
  constructor(start: Date, rang: () => void) {
    this.#now = start.getTime();
    this.#rang = rang;
  }

  get now(): number {
    return this.#now;
  }

  /** When the first of the timers is due. */
  get next(): number | undefined {
    return this.#first?.at;
  }

  get #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (!first || timer.at < first.at) first = timer;
    return first;
  }

  /** Lets it be that time, and what is due by then ring in its order. */
  moveTo(at: number): void {
    for (let first = this.#first; first && first.at <= at; first = this.#first) this.#ring(first);
    this.#now = Math.max(this.#now, at);
    for (const timer of this.#timers) this.#arm(timer);
  }

  /** The clock of one process; `stop` takes its timers away. */
  ofProcess(): Clock & { stop(): void } {
    const own = new Set<Timer>();
    let isStopped = false;
    const cancel = (timer: Timer) => {
      own.delete(timer);
      this.#timers.delete(timer);
      clearTimeout(timer.real);
    };
    return {
      now: () => new Date(this.#now),
      after: (ms, run) => {
        if (isStopped) return () => undefined;
        const timer: Timer = { at: this.#now + ms, run, real: undefined };
        own.add(timer);
        this.#timers.add(timer);
        this.#arm(timer);
        return () => cancel(timer);
      },
      stop: () => {
        isStopped = true;
        for (const timer of own) cancel(timer);
      },
    };
  }

  #arm(timer: Timer): void {
    clearTimeout(timer.real);
    const ms = timer.at - this.#now;
    if (ms > longestMs) return;
    timer.real = setTimeout(() => void this.#ringForReal(timer), ms);
    // A test that is over is not held up by it.
    timer.real.unref();
  }

  /** A process that stood still has all its timers due at once: what it was at comes first. */
  async #ringForReal(timer: Timer): Promise<void> {
    for (let turn = 0; turn < turnsBefore; turn++) await hop();
    if (this.#timers.has(timer)) this.#ring(timer);
  }

  #ring(timer: Timer): void {
    this.#timers.delete(timer);
    clearTimeout(timer.real);
    this.#now = Math.max(this.#now, timer.at);
    timer.run();
    this.#rang();
  }
}
