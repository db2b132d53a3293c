/**
 * `job.session`: small state of a key, in the broker's session state and fenced by its lock.
 *
 * What a handler sets is written when it returns: an attempt that fails leaves nothing. The state
 * names the job that wrote it and what was there before, so that a job whose worker died in that
 * moment starts again from what it found: a running total counts each job once.
 */

import { toJson } from '../define/json.ts';
import { NonRetryableError, NoSessionError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Delivery, SessionState } from '../ports.ts';
import { refuseInsideStep } from './on-behalf.ts';
import type { Run } from './run.ts';

// Service Bus keeps 256 KB for a session (Learn, "Service Bus quotas", Standard), and two states lie in
// it: what the job leaves and what it found.
const maxBytes = 120 * 1024;

interface State {
  by: string;
  value: unknown;
  before?: unknown;
}

const read = (stored: Buffer | undefined): State | undefined =>
  stored?.length ? (JSON.parse(stored.toString('utf8')) as State) : undefined;

const write = (port: SessionState, state: State): Promise<void> =>
  port.set(Buffer.from(JSON.stringify(state)));

/**
 * A run that does not succeed leaves nothing, also where one before it had written its state and died
 * before the record said so. To be called while the session is held. @throws LockLostError
 */
export async function takeBackState(
  { session }: Pick<Delivery, 'session'>,
  { id, state }: JobRecord,
): Promise<void> {
  // Before a state is written, the record says `running`.
  if (!session || state !== 'running') return;
  const left = read(await session.get());
  if (left?.by === id) await write(session, { by: '', value: left.before });
}

export class KeyState {
  readonly #run: Run;
  /** As JSON: what the handler changes later is not set. */
  #pending: string | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  async get<T>(): Promise<T | undefined> {
    const port = this.#port();
    if (this.#pending !== undefined) return JSON.parse(this.#pending) as T;
    const found = await this.#found(port);
    // By the next attempt another job may have changed it, and with it the way.
    this.#run.checkpoint.met(`session ${JSON.stringify(found)}`);
    return found as T | undefined;
  }

  /** @throws NonRetryableError for what is no JSON or too large */
  async set(value: unknown): Promise<void> {
    this.#port();
    const json = toJson(value, 'The session state');
    const bytes = Buffer.byteLength(json);
    if (bytes > maxBytes)
      throw new NonRetryableError(
        `The state of the key has ${bytes} bytes, and ${maxBytes} is the most: keep what is large in storage and its name here.`,
        { code: 'session_state_too_large' },
      );
    this.#pending = json;
  }

  /** Writes what was set. @throws LockLostError */
  async commit(): Promise<void> {
    const { lease, checkpoint, delivery, signal } = this.#run;
    // One that a run before this one left is not to stay either.
    if (this.#pending === undefined) return takeBackState(delivery, lease.record);
    const port = this.#port();
    const before = await this.#found(port);
    await checkpoint.flush();
    // From `running` on, a cancel waits for this worker: else it could end a job that leaves a state.
    if (lease.record.state !== 'running') await lease.writeRunning((record) => record);
    // Storage may have taken its time.
    signal.throwIfAborted();
    // Crash here, or after it: the next attempt finds what was there before.
    await write(port, { by: lease.record.id, value: JSON.parse(this.#pending), before });
  }

  #port(): SessionState {
    const { delivery, definition, signal, lease } = this.#run;
    signal.throwIfAborted();
    refuseInsideStep('The session state', lease.record.id);
    if (!delivery.session || (definition.limit ?? 1) > 1) throw new NoSessionError(definition.type);
    return delivery.session;
  }

  async #found(port: SessionState): Promise<unknown> {
    const state = read(await port.get());
    return state?.by === this.#run.lease.record.id ? state.before : state?.value;
  }
}
