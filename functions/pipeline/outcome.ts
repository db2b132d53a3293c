/** What happened to an attempt, and what follows: the outcome table of DESIGN.md, without I/O. */
import {
  type ErrorRecord,
  InvalidInputError,
  JobCancelledError,
  LonghaulError,
  NonRetryableError,
  toErrorRecord,
} from '../errors.ts';
import { type EndedRecord, toEventMessage } from '../model/event.ts';
import { type FailedAttempt, hasEnded, type JobRecord, type Kept } from '../model/job-record.ts';
import { type JobMessage, type OutgoingMessage, toMessage } from '../model/message.ts';
import { waitMs } from './backoff.ts';
import type { Policy } from './catalogue.ts';

export type Happened =
  | { kind: 'returned'; result: Kept }
  | { kind: 'threw'; error: Error }
  | { kind: 'timed-out'; error: Error }
  | { kind: 'cancelled' }
  | { kind: 'expired' }
  | { kind: 'unknown-type'; error: Error }
  | { kind: 'invalid-input'; error: Error }
  /** The broker gave up on the message: its worker died each time. */
  | { kind: 'buried'; reason: string; description: string }
  | { kind: 'stopping' }
  | { kind: 'lock-lost' };

export type Settlement =
  | { kind: 'complete' }
  | { kind: 'dead-letter'; reason: string; description: string }
  | { kind: 'abandon' }
  /** The message is no longer this worker's. */
  | { kind: 'leave' };

export interface Transition {
  record: JobRecord | 'untouched';
  sends: readonly OutgoingMessage[];
  message: Settlement;
}

/** For a job of which no policy is known: its type is gone, or the broker gave up on it. */
export const noRetries = { attempts: 1, backoff: { initial: '5s' } } as const;

/** `random` in [0, 1) spreads the backoff. */
export function decide(
  happened: Happened,
  job: JobRecord,
  message: JobMessage,
  policy: Pick<Policy, 'attempts' | 'backoff'>,
  now: Date,
  random: number,
  completions: string,
): Transition {
  if (happened.kind === 'stopping')
    return { record: 'untouched', sends: [], message: { kind: 'abandon' } };
  if (happened.kind === 'lock-lost')
    return { record: 'untouched', sends: [], message: { kind: 'leave' } };
  const record = change(happened, job, policy, now, random);
  return { record, ...consequences(record, message, completions) };
}

function change(
  happened: Exclude<Happened, { kind: 'stopping' | 'lock-lost' }>,
  job: JobRecord,
  policy: Pick<Policy, 'attempts' | 'backoff'>,
  now: Date,
  random: number,
): JobRecord {
  switch (happened.kind) {
    case 'returned':
      return ended(job, 'succeeded', now, { result: happened.result });
    case 'threw':
    case 'timed-out': {
      const { error } = happened;
      const history = withFailure(job, error, now);
      const tries = job.attempt - (job.triedBefore ?? 0);
      if (error instanceof NonRetryableError || tries >= policy.attempts)
        return ended({ ...job, history }, 'failed', now, { error: toErrorRecord(error) });
      const waits = waitMs(policy.backoff, tries, error, random, now);
      const runAt = new Date(now.getTime() + waits);
      const { startedAt: _, ...rest } = job;
      return {
        ...rest,
        history,
        state: 'queued',
        attempt: job.attempt + 1,
        runAt: runAt.toISOString(),
        error: toErrorRecord(error),
      };
    }
    case 'cancelled':
      return cancelled(job, now);
    case 'expired':
      return ended(job, 'expired', now, { error: toErrorRecord(expiredError(job)) });
    case 'unknown-type':
    case 'invalid-input':
      return ended(job, 'failed', now, { error: toErrorRecord(happened.error) });
    case 'buried': {
      const error = { name: happened.reason, message: happened.description, code: 'buried' };
      return ended(job, 'failed', now, { error });
    }
  }
}

const historyLimit = 20;

function withFailure(job: JobRecord, error: Error, now: Date): FailedAttempt[] {
  const { name, message, code } = toErrorRecord(error);
  const failed = {
    attempt: job.attempt,
    ...(job.startedAt ? { startedAt: job.startedAt } : {}),
    endedAt: now.toISOString(),
    // The whole of the last error stands in `error`; a history is to stay small.
    error: { name, message: message.slice(0, 500), ...(code ? { code } : {}) },
  };
  return [...(job.history ?? []), failed].slice(-historyLimit);
}

export const cancelled = (job: JobRecord, now: Date): EndedRecord =>
  ended(job, 'cancelled', now, { error: toErrorRecord(new JobCancelledError(job.id)) });

function ended(
  job: JobRecord,
  state: EndedRecord['state'],
  now: Date,
  outcome: { result: Kept } | { error: ErrorRecord },
): EndedRecord {
  const { error: _e, runAt: _r, checkpoint, ...rest } = job;
  // Started again, a failed job goes on from there.
  const left = state === 'failed' && checkpoint ? { checkpoint } : {};
  return { ...rest, state, ...left, finishedAt: now.toISOString(), ...outcome };
}

const expiredError = ({ startBefore }: JobRecord) =>
  new LonghaulError('expired', 410, `The job had not started by ${startBefore}.`);

/**
 * The sends and the settlement that follow from a record alone. Because nothing else goes in, a
 * worker that finds a record already decided can do again what the one before it may not have done.
 */
export function consequences(
  record: JobRecord,
  message: JobMessage,
  completions: string,
): Omit<Transition, 'record'> {
  // Once the next attempt runs, its copy has been sent.
  if (record.state === 'running') return { sends: [], message: { kind: 'complete' } };
  if (!hasEnded(record.state)) {
    const next = { ...message, attempt: record.attempt };
    const at = record.runAt ? new Date(record.runAt) : undefined;
    return { sends: [toMessage(next, at)], message: { kind: 'complete' } };
  }
  const ended = record as EndedRecord;
  return { sends: tellings(ended, completions), message: settlementOf(ended) };
}

/** The reply to who asked, and the completion to who waits. */
export function tellings(record: EndedRecord, completions: string): OutgoingMessage[] {
  const { replyTo, replyToSessionId, correlationId, parent, schedule } = record;
  const waiter = parent ? `job:${parent}` : schedule ? `schedule:${schedule}` : undefined;
  return [
    ...(replyTo
      ? [
          toEventMessage(record, 'reply', {
            queue: replyTo,
            ...(replyToSessionId ? { sessionId: replyToSessionId } : {}),
            // JMS and AMQP habit: without a correlation id the reply carries the request's id.
            correlationId: correlationId ?? record.id,
          }),
        ]
      : []),
    ...(waiter
      ? [
          toEventMessage(record, 'completion', {
            queue: completions,
            sessionId: waiter.slice(0, 128),
            correlationId: record.id,
          }),
        ]
      : []),
  ];
}

function settlementOf({ state, error }: EndedRecord): Settlement {
  if (state !== 'failed') return { kind: 'complete' };
  const reason = error?.code === 'buried' ? error.name : (error?.code ?? error?.name ?? 'failed');
  // Service Bus: reason and description have 4096 characters at most.
  return {
    kind: 'dead-letter',
    reason: reason.slice(0, 4096),
    description: `${error?.name}: ${error?.message}`.slice(0, 4096),
  };
}

/** How an error that stopped an attempt before its handler ran is told. */
export const invalid = (error: unknown): Happened => ({
  kind: 'invalid-input',
  error:
    error instanceof InvalidInputError
      ? error
      : new InvalidInputError('The message', [{ pointer: '', message: (error as Error).message }]),
});
