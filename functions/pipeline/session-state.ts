/**
 * `job.session`: small state of a key, in the broker's session state and fenced by its lock.
 *
 * What a handler sets is written when it returns: an attempt that fails leaves nothing. The state
 * names the job that wrote it and what was there before, so that a job whose worker died in that
 * moment starts again from what it found: a running total counts each job once.
 */
import type { JobSession } from '../define-job.ts';
import { NoSessionError } from '../errors.ts';
import type { SessionState } from './ports.ts';
import { type Run, refuseInsideStep } from './run.ts';

interface State {
  by: string;
  value: unknown;
  before?: unknown;
}

export class KeyState {
  readonly #run: Run;
  #pending: { value: unknown } | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  readonly job: JobSession = {
    get: async <T>() => {
      const port = this.#port();
      return (this.#pending ? this.#pending.value : await this.#found(port)) as T | undefined;
    },
    set: async (value) => {
      this.#port();
      this.#pending = { value };
    },
  };

  /** Writes what was set. @throws LockLostError */
  async commit(): Promise<void> {
    if (!this.#pending) return;
    const port = this.#port();
    const state: State = {
      by: this.#run.lease.record.id,
      value: this.#pending.value,
      before: await this.#found(port),
    };
    await port.set(Buffer.from(JSON.stringify(state)));
  }

  #port(): SessionState {
    const { delivery, definition, signal } = this.#run;
    signal.throwIfAborted();
    refuseInsideStep('The session state');
    if (!delivery.session || (definition.limit ?? 1) > 1) throw new NoSessionError(definition.type);
    return delivery.session;
  }

  async #found(port: SessionState): Promise<unknown> {
    const stored = await port.get();
    if (!stored?.length) return undefined;
    const state = JSON.parse(stored.toString('utf8')) as State;
    return state.by === this.#run.lease.record.id ? state.before : state.value;
  }
}
