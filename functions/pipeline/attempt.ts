/** One attempt: the handler under its signal, with all that may end it. */
import {
  AttemptTimeoutError,
  JobCancelledError,
  LockLostError,
  StoppingError,
  UnknownJobTypeError,
} from '../errors.ts';
import { type Duration, toMs } from '../model/duration.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { JobMessage } from '../model/message.ts';
import type { KnownType } from './catalogue.ts';
import { Checkpoint } from './checkpoint.ts';
import { fromBody, keep } from './claim-check.ts';
import type { Gate } from './gate.ts';
import { createJob } from './job.ts';
import type { Lease } from './lease.ts';
import { type Happened, invalid } from './outcome.ts';
import type { Delivery, Log, Schedules } from './ports.ts';
import { Reporter } from './progress.ts';
import type { Run } from './run.ts';
import { KeyState } from './session-state.ts';
import type { SessionTurns } from './session-turns.ts';
import type { Submitting } from './submit.ts';
import { Suspension } from './suspend.ts';
import { nextToUndo, undoSteps } from './undo.ts';
import { validate } from './validate.ts';

export interface Working extends Submitting {
  log: Log;
  schedules: Schedules;
  gate: Gate;
  turns: SessionTurns;
  newOwner(): string;
  random(): number;
  /** Aborted when the process is to end; what has not ended `graceMs` later is handed back. */
  stopping: AbortSignal;
  graceMs: number;
}

// A job that ends sooner writes no `running` state of its own.
const showRunningAfterMs = 2_000;
// A cancel is to be seen within five seconds.
const lookForCancelEveryMs = 2_000;
// How long a handler that was told to stop may take to do so.
const abortGraceMs = 2_000;

/** Runs the job's handler, unless there is a reason not to. @throws when storage is out of reach */
export async function attempt(
  worker: Working,
  lease: Lease,
  message: JobMessage,
  delivery: Delivery,
  known: KnownType | undefined,
  startedAt: string,
): Promise<Happened> {
  const { record } = lease;
  if (worker.stopping.aborted) return { kind: 'stopping' };
  if (record.cancelRequestedAt && !record.ending) return { kind: 'cancelled' };
  const unstarted = record.attempt === 1 && !record.startedAt;
  if (record.startBefore && unstarted && new Date(record.startBefore) <= worker.clock.now())
    return { kind: 'expired' };
  if (!known)
    return {
      kind: 'unknown-type',
      error: new UnknownJobTypeError(message.type, worker.types.names),
    };
  try {
    // Somebody else's run is on record: take it over before anything else, so that they notice.
    if (record.state === 'running') await lease.note((r) => ({ ...r, startedAt }));
    // Equal jobs are held off only until this one starts: it has to show that it does.
    else if (known.definition.unique?.until === 'started') await lease.note((r) => r);
    return await run(worker, lease, message, delivery, known, startedAt);
  } catch (error) {
    if (error instanceof LockLostError) return { kind: 'lock-lost' };
    // Not the handler's doing: the store or the blobs are out of reach.
    throw error;
  }
}

async function run(
  worker: Working,
  lease: Lease,
  message: JobMessage,
  delivery: Delivery,
  { definition, policy }: KnownType,
  startedAt: string,
): Promise<Happened> {
  let input: unknown;
  try {
    const raw = await fromBody(worker.blobs, message);
    input = await validate(definition.input, raw, 'The input');
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== undefined) throw error;
    return invalid(error);
  }
  const abort = new AbortController();
  const { signal } = abort;
  const checkpoint = await Checkpoint.load(lease, worker.blobs);
  const reporter = new Reporter(lease, worker, signal);
  if (!lease.record.startedAt) worker.notify('started', { ...lease.record, startedAt });
  const suspension = new Suspension();
  const tools = { checkpoint, reporter, suspension };
  const running = { app: worker, definition, lease, signal, delivery, ...tools };
  const stopWatching = watch(worker, lease, abort, policy.timeout);
  try {
    const work = lease.record.ending ? undoSteps(running, input) : handle(running, input);
    return await raceWithAbort(worker, work, signal);
  } catch (error) {
    const why = whyItEnded(signal, error);
    if (!lease.record.ending || !('error' in why)) return why;
    return { kind: 'undo-failed', step: nextToUndo(running) ?? '', error: why.error };
  } finally {
    stopWatching();
  }
}

/** Ends with the handler's result, or once it waits. */
async function handle(running: Run, input: unknown): Promise<Happened> {
  const { app, lease, checkpoint, definition, suspension, reporter } = running;
  const returned = async (): Promise<Happened> => {
    const session = new KeyState(running);
    const value = await definition.run(input as never, createJob(running, session) as never);
    await reporter.flush();
    const result = definition.output
      ? await validate(definition.output, value, 'The result')
      : value;
    const blob = `jobs/${lease.record.id}/result-${lease.owner}.json`;
    const stored = await keep(app.blobs, blob, result);
    await session.commit();
    return { kind: 'returned', result: stored };
  };
  const suspended = async (): Promise<Happened> => {
    const waits = await suspension.suspended;
    await reporter.flush();
    return { kind: 'waits', waits, checkpoint: await checkpoint.save() };
  };
  return Promise.race([returned(), suspended()]);
}

/** Ends with the handler, or a little after the abort if the handler does not heed it. */
function raceWithAbort<T>(worker: Working, returned: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    let cancel: () => void = () => undefined;
    const giveUp = () => {
      const grace = signal.reason instanceof StoppingError ? worker.graceMs : abortGraceMs;
      cancel = worker.clock.after(grace, () => reject(signal.reason));
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp);
    const settled = () => {
      cancel();
      signal.removeEventListener('abort', giveUp);
    };
    returned.finally(settled).then(resolve, reject);
  });
}

/** The reason of the abort outranks what the handler made of it. */
function whyItEnded(signal: AbortSignal, thrown: unknown): Happened {
  if (thrown instanceof LockLostError) return { kind: 'lock-lost' };
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (reason instanceof LockLostError) return { kind: 'lock-lost' };
  if (reason instanceof StoppingError) return { kind: 'stopping' };
  if (reason instanceof JobCancelledError) return { kind: 'cancelled' };
  if (reason instanceof AttemptTimeoutError) return { kind: 'timed-out', error: reason };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { kind: 'threw', error };
}

/** While a handler runs: its timeout, the shutdown, and from two seconds on `running` and cancels. */
function watch(
  worker: Working,
  lease: Lease,
  abort: AbortController,
  timeout: Duration,
): () => void {
  const { clock, stopping } = worker;
  const timedOut = () => abort.abort(new AttemptTimeoutError(timeout));
  const cancelTimeout = clock.after(toMs(timeout), timedOut);
  const onStopping = () => abort.abort(new StoppingError());
  stopping.addEventListener('abort', onStopping, { once: true });
  let cancelLook: () => void = () => undefined;
  const look = async (read: () => Promise<JobRecord>) => {
    try {
      const { cancelRequestedAt, ending } = await read();
      if (cancelRequestedAt && !ending) abort.abort(new JobCancelledError(lease.record.id));
    } catch (error) {
      // Out of reach for a moment is no reason to stop; a lost claim is.
      if (error instanceof LockLostError) abort.abort(error);
    }
    if (!abort.signal.aborted)
      cancelLook = clock.after(lookForCancelEveryMs, () => void look(() => lease.refresh()));
  };
  cancelLook = clock.after(showRunningAfterMs, () => {
    const show = () => lease.note((record) => record);
    void look(show);
  });
  return () => {
    cancelTimeout();
    cancelLook();
    // Nothing may be written after the attempt is decided.
    if (!abort.signal.aborted) abort.abort(new LockLostError(lease.record.id));
    stopping.removeEventListener('abort', onStopping);
  };
}
