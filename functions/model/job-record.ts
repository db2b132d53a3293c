/** What is kept of a job: one record, found from its id alone. */
import type { ErrorRecord } from '../errors.ts';

export const states = [
  'scheduled',
  'queued',
  'running',
  'waiting',
  'succeeded',
  'failed',
  'cancelled',
  'expired',
] as const;
export type State = (typeof states)[number];
export type EndState = 'succeeded' | 'failed' | 'cancelled' | 'expired';

const ends: readonly State[] = ['succeeded', 'failed', 'cancelled', 'expired'];
export const hasEnded = (state: State): state is EndState => ends.includes(state);

/** A JSON value: in place when small, else the name of the blob that holds it. */
export type Kept = { json: string } | { blob: string };

export interface Progress {
  done: number;
  of?: number;
  note?: string;
}

/** Who asked for a job, and where its outcome goes: the same in its message and in its record. */
export interface Provenance {
  requestedBy?: string;
  parent?: string;
  schedule?: string;
  scheduledFor?: string;
  replyTo?: string;
  replyToSessionId?: string;
  correlationId?: string;
}

/** An attempt that failed. */
export interface FailedAttempt {
  attempt: number;
  startedAt?: string;
  endedAt: string;
  error: Pick<ErrorRecord, 'name' | 'message' | 'code'>;
}

/** All times are ISO 8601 in UTC. */
export interface JobRecord extends Provenance {
  id: string;
  type: string;
  state: State;
  lane: string;
  queue: string;
  key?: string;
  session?: string;
  createdAt: string;
  /** When the next attempt is due, if not at once. */
  runAt?: string;
  /** Not started by then: expired. */
  startBefore?: string;
  startedAt?: string;
  finishedAt?: string;
  /** The attempt that runs or runs next, from 1. */
  attempt: number;
  progress?: Progress;
  checkpoint?: Kept;
  /** Of a failed job, so that it can be started again. */
  input?: Kept;
  /** Attempts made before somebody started the failed job again. */
  triedBefore?: number;
  result?: Kept;
  error?: ErrorRecord;
  /** The last twenty attempts that failed, oldest first. */
  history?: FailedAttempt[];
  cancelRequestedAt?: string;
  /** The delivery that wrote last: a worker that finds another's has lost the job. */
  owner?: string;
}
