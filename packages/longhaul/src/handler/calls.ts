/**
 * What a handler asks of its `job`, kept in hand: none of it is rejected unhandled, and what nobody
 * waited for is told to its author.
 */
import { NotAwaitedError } from '../errors.ts';

/** A promise that knows whether anybody waits for it. */
class Watched<T> extends Promise<T> {
  isAwaited = false;

  // What follows from it is a plain promise.
  static override get [Symbol.species]() {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: `await`, `race` and `all` are seen by it alone
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isAwaited = true;
    return super.then(onFulfilled, onRejected);
  }
}

interface Call {
  what: string;
  promise: Watched<unknown>;
  /** Where it stands in the handler; its text is made when it is asked for. */
  from: Error;
  /** Nobody has to wait for it, as long as it succeeds. */
  loose: boolean;
  error?: unknown;
  isOver?: true;
  /** It failed when the attempt was over. */
  isCutOff?: true;
}

export class Calls {
  readonly #calls = new Set<Call>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** `what` was not awaited, should it come to that: the beginning of a sentence. */
  watch<T>(what: string, act: () => Promise<T>, { loose = false } = {}): Promise<T> {
    const running = act();
    const promise = new Watched<T>((resolve, reject) => {
      running.then(resolve, reject);
    });
    const call: Call = { what, promise, from: new Error(what), loose };
    this.#calls.add(call);
    // Asked of the class, so that it does not count as somebody who waits.
    Promise.prototype.then.call(
      promise,
      () => {
        call.isOver = true;
        if (promise.isAwaited || loose) this.#calls.delete(call);
      },
      (error: unknown) => {
        call.isOver = true;
        call.error = error;
        if (this.#signal.aborted) call.isCutOff = true;
      },
    );
    return promise;
  }

  /** A call failed after the attempt was over, whatever it threw: the handler did not get what it asked for. */
  get wasCutOff(): boolean {
    return [...this.#calls].some(({ isCutOff, loose }) => isCutOff && !loose);
  }

  /** The first that nobody has waited for; `ended`: of those that have ended. */
  forgotten({ ended = false } = {}): NotAwaitedError | undefined {
    for (const { what, promise, from, loose, error, isOver } of this.#calls)
      if (!promise.isAwaited && (isOver || !ended) && (!loose || error !== undefined))
        return new NotAwaitedError(what, from.stack?.split('\n').slice(3).join('\n'), error);
    return undefined;
  }
}
