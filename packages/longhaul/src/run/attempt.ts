/** One attempt: the handler under its signal, with all that may end it. */

import type { Submitting } from '../admit/submit.ts';
import type { KnownType } from '../define/catalogue.ts';
import { toJson } from '../define/json.ts';
import { validate } from '../define/validate.ts';
import {
  AttemptEndedError,
  AttemptTimeoutError,
  JobCancelledError,
  LockLostError,
  StoppingError,
  UnhandledRejectionError,
  UnknownJobTypeError,
} from '../errors.ts';
import { isDeliveredAgain, putStart, refuseCrashed } from '../fate/crashes.ts';
import { type AttemptOutcome, invalid } from '../fate/outcome.ts';
import { Calls } from '../handler/calls.ts';
import { Checkpoint } from '../handler/checkpoint.ts';
import type { Lines } from '../handler/job-log.ts';
import { asHandler } from '../handler/on-behalf.ts';
import { Reporter } from '../handler/progress.ts';
import type { Run } from '../handler/run.ts';
import { KeyState } from '../handler/session-state.ts';
import { Suspension } from '../handler/suspend.ts';
import { asError } from '../model/error-record.ts';
import type { Instance } from '../model/job-record.ts';
import type { JobMessage } from '../model/message.ts';
import { keptBlob } from '../model/names.ts';
import type { Delivery, Log, Schedules } from '../ports.ts';
import { fromBody, storeJson } from '../record/claim-check.ts';
import type { Lease } from '../record/lease.ts';
import type { Pauses } from '../record/pauses.ts';
import { isOrphan } from '../wait/children.ts';
import type { ConcurrencyLimiter } from './concurrency-limiter.ts';
import type { Heartbeat } from './heartbeat.ts';
import { createJob } from './job.ts';
import type { SessionFairness } from './session-fairness.ts';
import { nextToUndo, undoSteps } from './undo.ts';
import { watch } from './watch.ts';

export interface Working extends Submitting {
  log: Log;
  schedules: Schedules;
  limiter: ConcurrencyLimiter;
  pauses: Pauses;
  heartbeat: Heartbeat;
  turns: SessionFairness;
  newOwner(): string;
  here: Instance;
  random(): number;
  /** Aborted when the process is to end; what has not ended `graceMs` later is handed back. */
  stopping: AbortSignal;
  graceMs: number;
}

/** A delivery that is to be run. */
export interface Attempt {
  lease: Lease;
  lines: Lines;
  message: JobMessage;
  delivery: Delivery;
  known: KnownType | undefined;
  startedAt: string;
  /** Nothing else runs in this process. */
  isAlone: boolean;
}

// How long a handler that was told to stop may take to do so.
const abortGraceMs = 2_000;
// And how long storage may take for what it had done by then.
const keepGraceMs = 30_000;

/** Runs the job's handler, unless there is a reason not to. @throws when storage is out of reach */
export async function attempt(worker: Working, one: Attempt): Promise<AttemptOutcome> {
  const { lease, known, message, delivery, startedAt, isAlone } = one;
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
  if (unstarted && (await isOrphan(worker, record))) return { kind: 'cancelled' };
  try {
    if (isDeliveredAgain(delivery.message)) await putStart(lease, startedAt, isAlone);
    // Somebody else's run is on record: take it over before anything else, so that they notice.
    else if (record.state === 'running') await lease.writeRunning((r) => ({ ...r, startedAt }));
    // Equal jobs are held off only until this one starts: it has to show that it does.
    else if (known.definition.unique?.until === 'started') await lease.writeRunning((r) => r);
    return await run(worker, one, known);
  } catch (error) {
    if (error instanceof LockLostError) return { kind: 'lock-lost' };
    // Not the handler's doing: the store or the blobs are out of reach.
    throw error;
  }
}

async function run(
  worker: Working,
  { lease, lines, message, delivery, startedAt }: Attempt,
  { definition, policy }: KnownType,
): Promise<AttemptOutcome> {
  let input: unknown;
  try {
    const raw = await fromBody(worker.blobs, message.id, message);
    input = await validate(definition.input, raw, 'The input');
  } catch (error) {
    const outcome = invalid(error);
    if (outcome) return outcome;
    throw error;
  }
  const abort = new AbortController();
  const { signal } = abort;
  lease.onFailure = (error) => abort.abort(error);
  const checkpoint = await Checkpoint.load(lease, worker.blobs);
  const reporter = new Reporter(lease, worker, signal);
  if (!lease.record.startedAt) worker.notify('started', { ...lease.record, startedAt });
  const suspension = new Suspension(checkpoint.orders);
  const tools = { checkpoint, reporter, suspension, lines, calls: new Calls(signal) };
  const running: Run = { app: worker, definition, lease, signal, delivery, ...tools };
  const stopWatching = watch(worker, lease, abort, policy.timeout);
  const outcome = await outcomeOf(worker, running, abort, async () => {
    refuseCrashed(lease, policy.crashes);
    return lease.record.ending ? undoSteps(running, input) : handle(running, input);
  });
  // From here on nothing of the attempt counts any more.
  stopWatching();
  if (lease.failure !== undefined && outcome.kind !== 'lock-lost') throw lease.failure;
  return outcome;
}

async function outcomeOf(
  worker: Working,
  running: Run,
  abort: AbortController,
  act: () => Promise<AttemptOutcome>,
): Promise<AttemptOutcome> {
  const { lease, signal, suspension } = running;
  const of = {
    job: lease.record.id,
    fail(error: UnhandledRejectionError) {
      const isUnderWay = !signal.aborted;
      abort.abort(error);
      return isUnderWay;
    },
  };
  try {
    return await raceWithAbort(worker, asHandler(of, act), signal);
  } catch (error) {
    const why = whyItEnded(signal, error);
    if (!lease.record.ending || !('error' in why)) return why;
    const step = nextToUndo(running);
    return step === undefined
      ? { kind: 'undone' }
      : { kind: 'undo-failed', step, error: why.error };
  } finally {
    if (!signal.aborted) abort.abort(new AttemptEndedError(lease.record.id));
    // What it left behind may end; the next attempt is not to meet it, if that can be had.
    await atMost(worker, abortGraceMs, suspension.close());
    await atMost(worker, keepGraceMs, running.checkpoint.idle());
    // What failed, or came too late, in this attempt: the undo and the next attempt go by it.
    if (lease.failure === undefined)
      await atMost(
        worker,
        keepGraceMs,
        running.checkpoint.flush().catch(() => undefined),
      );
  }
}

function atMost({ clock }: Working, ms: number, ended: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    void ended.then(cancel).then(resolve);
  });
}

/** Ends with the handler's result, or once it waits. */
async function handle(running: Run, input: unknown): Promise<AttemptOutcome> {
  const { app, lease, checkpoint, definition, suspension, reporter, calls, signal } = running;
  const returned = async (): Promise<AttemptOutcome> => {
    const session = new KeyState(running);
    const value = await definition.run(input as never, createJob(running, session) as never);
    // Others that it began beside, in a race, are kept as well.
    await suspension.close();
    // Cancelled, or over its time, it has ended as that, whatever it made of it.
    const isOver = [UnhandledRejectionError, JobCancelledError, AttemptTimeoutError].some(
      (reason) => signal.reason instanceof reason,
    );
    // At a shutdown a handler may end in time; not by what it made of a call that was cut off.
    if (isOver || (signal.aborted && calls.wasCutOff)) throw signal.reason;
    const forgotten = calls.forgotten();
    if (forgotten) throw forgotten;
    await reporter.flush();
    const result = definition.output
      ? await validate(definition.output, value, 'The result')
      : value;
    const blob = keptBlob(lease.record.id, 'result', lease.owner);
    const text = toJson(result, 'The result');
    const stored = await lease.persist(() => storeJson(app.blobs, blob, text));
    await suspension.during(() => session.commit());
    return { kind: 'returned', result: stored, checkpoint: checkpoint.unsaved };
  };
  const suspended = async (): Promise<AttemptOutcome> => {
    const waits = await suspension.suspended;
    tellForgotten(running);
    await reporter.flush();
    return { kind: 'waits', waits, checkpoint: await checkpoint.save() };
  };
  return Promise.race([returned(), suspended()]);
}

/** It may be awaited after the wait. If not, it is told now and not in a month. */
function tellForgotten({ app: { log }, calls, lease: { record } }: Run): void {
  const error = calls.forgotten({ ended: true });
  if (!error) return;
  const { id, type, attempt } = record;
  const text = `job ${id} (${type}) waits; if nobody awaits it later, the job will fail: ${error.message}`;
  log('warn', text, { job: id, type, attempt, error });
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
function whyItEnded(signal: AbortSignal, whatever: unknown): AttemptOutcome {
  const thrown = asError(whatever);
  if (thrown instanceof LockLostError) return { kind: 'lock-lost' };
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (reason instanceof LockLostError) return { kind: 'lock-lost' };
  if (reason instanceof StoppingError) return { kind: 'stopping' };
  if (reason instanceof JobCancelledError) return { kind: 'cancelled' };
  if (reason instanceof AttemptTimeoutError) return { kind: 'timed-out', error: reason };
  if (reason instanceof UnhandledRejectionError) return { kind: 'threw', error: reason };
  return { kind: 'threw', error: thrown };
}
