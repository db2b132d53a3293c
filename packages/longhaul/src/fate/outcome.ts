/** What happened to an attempt, and what its record says then: the outcome table, without I/O. */

import { defaultKeep, type JobTypes, type Policy } from '../define/catalogue.ts';
import {
  BadMessageError,
  InvalidInputError,
  JobCancelledError,
  LonghaulError,
  NonRetryableError,
} from '../errors.ts';
import { toMs } from '../model/duration.ts';
import { type ErrorRecord, toErrorRecord } from '../model/error-record.ts';
import {
  type EndedRecord,
  type Ending,
  type FailedAttempt,
  type JobRecord,
  nextTurn,
  type StoredValue,
  type Waits,
} from '../model/job-record.ts';
import { waitMs } from './backoff.ts';
import { isDue, isFulfilled, woken } from './waiting.ts';

export type AttemptOutcome =
  | { kind: 'returned'; result: StoredValue; checkpoint?: StoredValue | undefined }
  | { kind: 'threw'; error: Error }
  | { kind: 'timed-out'; error: Error }
  | { kind: 'cancelled' }
  | { kind: 'expired' }
  /** Sent straight to a lane, it found another job that stands for it. */
  | { kind: 'equal'; error: Error }
  | { kind: 'unknown-type'; error: Error }
  | { kind: 'invalid-input'; error: Error }
  /** The broker gave up on the message: its worker died each time. */
  | { kind: 'given-up'; reason: string; description: string }
  /** The broker gave up on the message, and nothing speaks against the job. */
  | { kind: 'put-back' }
  /** Its type or lane is paused: it has not begun. */
  | { kind: 'paused'; pause: string }
  /** The handler waits, and nothing else of it is under way. */
  | { kind: 'waits'; waits: Waits; checkpoint: StoredValue }
  /** All that was to be undone is. */
  | { kind: 'undone' }
  | { kind: 'undo-failed'; step: string; error: Error }
  | { kind: 'stopping' }
  | { kind: 'lock-lost' };

/** For a job of which no policy is known: its type is gone, or the broker gave up on it. */
export const noRetries = { attempts: 1, ordered: false, backoff: { initial: '5s' } } as const;

/** Of a record's type, or of one that is gone. */
export const policyOf = (types: Pick<JobTypes, 'find'>, { type }: JobRecord) =>
  types.find(type)?.policy ?? noRetries;

/** What leaves a trace in the record. */
export type Decisive = Exclude<AttemptOutcome, { kind: 'stopping' | 'lock-lost' }>;

/** By what an outcome is judged; `random` in [0, 1) spreads the backoff. */
export interface Ruling {
  policy: Pick<Policy, 'attempts' | 'backoff' | 'ordered'>;
  now: Date;
  random: number;
}

/** The record that follows. */
export function decide(outcome: Decisive, job: JobRecord, by: Ruling): JobRecord {
  const { policy, now } = by;
  switch (outcome.kind) {
    case 'returned': {
      const { result, checkpoint } = outcome;
      return finish({ ...job, ...(checkpoint ? { checkpoint } : {}) }, 'succeeded', now, {
        result,
      });
    }
    case 'waits':
      return goToWait(job, outcome, now);
    case 'threw':
    case 'timed-out':
      return fail(job, outcome.error, by);
    case 'undone':
    case 'undo-failed':
      return goOnUndoing(job, outcome, by);
    case 'cancelled':
      return cancelled(job, now, policy);
    case 'expired':
      return finish(job, 'expired', now, { error: toErrorRecord(expiredError(job)) });
    case 'equal':
      return finish(job, 'cancelled', now, { error: toErrorRecord(outcome.error) });
    case 'unknown-type':
    case 'invalid-input':
      // What cannot be run cannot be undone either.
      return finish(job, 'failed', now, { error: toErrorRecord(outcome.error) });
    case 'put-back':
      return putBack(job, now);
    case 'paused':
      return job.cancelRequestedAt ? cancelled(job, now, policy) : parked(job, outcome.pause);
    case 'given-up': {
      const error = {
        name: outcome.reason,
        message: outcome.description,
        code: 'delivery_limit_exceeded',
      };
      // Its message is gone: what is to be undone needs another.
      return end(job, { state: 'failed', error }, { now, policy: { ordered: false } });
    }
  }
}

function parked(job: JobRecord, pause: string): JobRecord {
  const { runAt: _, ...rest } = job;
  return { ...rest, state: 'waiting', waits: { pause } };
}

const soonMs = 60_000;
// Well within the hour in which the broker knows a copy.
const lateMs = 30 * 60_000;

/** Later each time: whatever used up its deliveries may last. */
function putBack(job: JobRecord, now: Date): JobRecord {
  const times = (job.putBack ?? 0) + 1;
  const runAt = new Date(now.getTime() + Math.min(soonMs * 2 ** (times - 1), lateMs));
  return {
    ...job,
    ...nextTurn(job),
    state: 'queued',
    putBack: times,
    runAt: runAt.toISOString(),
  };
}

function goToWait(
  job: JobRecord,
  { waits, checkpoint }: Decisive & { kind: 'waits' },
  now: Date,
): JobRecord {
  if (job.cancelRequestedAt) return cancelled(job, now, { ordered: false });
  const { until } = waits;
  const waiting: JobRecord = {
    ...job,
    ...markSent(job, waits),
    state: 'waiting',
    checkpoint,
    waits,
    ...(until ? { runAt: until } : {}),
  };
  // What it waits for may have come while it ran.
  return isFulfilled(waiting, now) ? woken(waiting, isDue(waiting, now)) : waiting;
}

/** Groups that it waits for were sent to the last child. */
function markSent({ children }: JobRecord, waits: Waits): Pick<JobRecord, 'children'> {
  if (!children) return {};
  const marked = Object.entries(children).map(([name, group]) => [
    name,
    waits.children?.includes(name) ? { ...group, sent: true as const } : group,
  ]);
  return { children: Object.fromEntries(marked) };
}

function fail(job: JobRecord, error: Error, by: Ruling): JobRecord {
  const { policy, now } = by;
  if (job.cancelRequestedAt) return cancelled(job, now, policy);
  const history = withFailure(job, error, now);
  const { startedAt: _s, ranBy: _r, ...rest } = job;
  const tries = job.attempt - (job.triedBefore ?? 0);
  if (error instanceof NonRetryableError || tries >= policy.attempts)
    return end({ ...job, history }, { state: 'failed', error: toErrorRecord(error) }, by);
  return {
    ...rest,
    ...withAttempt(job, now, toErrorRecord(error)),
    history,
    state: 'queued',
    attempt: job.attempt + 1,
    ...turnAfter(job, policy),
    runAt: afterBackoff(tries, error, by),
    error: toErrorRecord(error),
  };
}

/** Kept in order, the message stays where it is: the same hand-over tries again, or undoes. */
const turnAfter = (job: JobRecord, { ordered }: Pick<Policy, 'ordered'>) =>
  ordered ? {} : nextTurn(job);

const orderedWaitMs = 12 * 3_600_000;

function afterBackoff(tries: number, error: Error, { policy, random, now }: Ruling): string {
  const { backoff, ordered } = policy;
  const ms = waitMs(backoff, { attempt: tries, error, random, now });
  // It is the same delivery that waits, and the broker hands it over ten times at most.
  return new Date(now.getTime() + (ordered ? Math.min(ms, orderedWaitMs) : ms)).toISOString();
}

export const cancelled = (job: JobRecord, now: Date, policy: Pick<Policy, 'ordered'>): JobRecord =>
  end(
    job,
    { state: 'cancelled', error: toErrorRecord(new JobCancelledError(job.id)) },
    { now, policy },
  );

/** The end, or the way to it when steps are to be undone first. */
function end(
  job: JobRecord,
  { state, error }: Pick<Ending, 'state' | 'error'>,
  { now, policy }: { now: Date; policy: Pick<Policy, 'ordered'> },
): JobRecord {
  if (!job.undoable || job.ending) return finish(job, state, now, { error });
  const { runAt: _r, waits: _w, ...rest } = job;
  const ending = { state, error, tries: 0 };
  const attempts = withAttempt(job, now, error);
  return { ...rest, ...attempts, ...turnAfter(job, policy), state: 'queued', error, ending };
}

function goOnUndoing(
  job: JobRecord,
  outcome: Decisive & { kind: 'undone' | 'undo-failed' },
  by: Ruling,
): JobRecord {
  const { policy, now } = by;
  const ending = job.ending ?? { state: 'failed', error: { name: 'Error', message: '' }, tries: 0 };
  if (outcome.kind === 'undone') {
    // What was given up is still to be undone should the job be started again.
    const { undoable: _, ...rest } = job;
    const left = job.undone?.some((one) => one.error) ? job : rest;
    return finish(left, ending.state, now, { error: ending.error });
  }
  const { error, step } = outcome;
  const tries = ending.step === step ? ending.tries + 1 : 1;
  const history = withFailure(job, error, now);
  const next = { ...job, ...turnAfter(job, policy), history, state: 'queued' } as const;
  if (error instanceof NonRetryableError || tries >= policy.attempts) {
    // The other steps are undone all the same.
    const given = { step, at: now.toISOString(), error: brief(toErrorRecord(error)) };
    return { ...next, undone: [...(job.undone ?? []), given], ending: { ...ending, tries: 0 } };
  }
  const runAt = afterBackoff(tries, error, by);
  return { ...next, runAt, ending: { ...ending, tries, step } };
}

const historyLimit = 20;

function withFailure(job: JobRecord, error: Error, now: Date): FailedAttempt[] {
  const failed = {
    attempt: job.attempt,
    ...(job.startedAt ? { startedAt: job.startedAt } : {}),
    endedAt: now.toISOString(),
    error: brief(toErrorRecord(error)),
  };
  return [...(job.history ?? []), failed].slice(-historyLimit);
}

/** The attempt is over, if it had begun. */
function withAttempt(
  { attempt, startedAt, ranBy, attempts = [] }: JobRecord,
  now: Date,
  error?: ErrorRecord,
): Pick<JobRecord, 'attempts'> {
  if (startedAt === undefined) return {};
  const ended = { attempt, startedAt, endedAt: now.toISOString(), ...ranBy };
  const all = [...attempts, error ? { ...ended, error: brief(error) } : ended];
  return { attempts: all.slice(-historyLimit) };
}

/** The whole of the last error stands in `error`; what is listed is to stay small. */
function brief({ name, message, code }: ErrorRecord): FailedAttempt['error'] {
  return { name, message: message.slice(0, 500), ...(code ? { code } : {}) };
}

function finish(
  job: JobRecord,
  state: EndedRecord['state'],
  now: Date,
  outcome: { result: StoredValue } | { error: ErrorRecord },
): EndedRecord {
  const { error: _e, runAt, waits: _w, woken: _k, ending, ranBy: _r, ...rest } = job;
  const { input, events, undoable, rung, ...known } = rest;
  // What is undone had its end before.
  const attempts = ending
    ? {}
    : withAttempt(job, now, 'error' in outcome ? outcome.error : undefined);
  const isKept = state === 'failed' || !job.unkept;
  // Started again, a failed job goes on from there.
  const left =
    state === 'failed'
      ? {
          ...(events ? { events } : {}),
          ...(undoable ? { undoable } : {}),
          ...(rung ? { rung } : {}),
        }
      : {};
  // A message that is still to come has to find out that its job is over.
  const due = runAt && job.state !== 'waiting' ? Date.parse(runAt) : 0;
  const from = Math.max(now.getTime(), due);
  const keepUntil = new Date(from + toMs(job.keep ?? defaultKeep));
  const times = { finishedAt: now.toISOString(), keepUntil: keepUntil.toISOString() };
  return {
    ...known,
    ...attempts,
    state,
    ...(input && isKept ? { input } : {}),
    ...left,
    ...times,
    ...outcome,
  };
}

const expiredError = ({ startBefore }: JobRecord) =>
  new LonghaulError('expired', 410, `The job had not started by ${startBefore}.`);

/** What is wrong with the message itself, and so will be each time; undefined for any other error. */
export const invalid = (error: unknown): AttemptOutcome | undefined =>
  error instanceof InvalidInputError || error instanceof BadMessageError
    ? { kind: 'invalid-input', error }
    : undefined;
