/** What is kept of a job: one record, found from its id alone. */

import type { Duration } from './duration.ts';
import type { ErrorRecord } from './error-record.ts';

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
export type StoredValue = { json: string } | { blob: string };

export interface Progress {
  done: number;
  of?: number;
  note?: string;
}

/** Who asked for a job, and where its outcome goes: the same in its message and in its record. */
export interface Provenance {
  requestedBy?: string;
  parent?: string;
  /** Which child of its parent it is: `index:group`. */
  place?: string;
  /** Its parent's ancestors, the oldest first: percent-encoded ids with spaces between. */
  above?: string;
  schedule?: string;
  scheduledFor?: string;
  replyTo?: string;
  replyToSessionId?: string;
  correlationId?: string;
  /** An address that its end is told to. */
  callback?: string;
  /** Notes that are to go with the job: `kind/name`, with spaces between. */
  claims?: string;
  /** Somebody sent its first message straight to a lane, under an id of their own. */
  foreign?: string;
}

/** An attempt that failed. */
export interface FailedAttempt {
  attempt: number;
  startedAt?: string;
  endedAt: string;
  error: Pick<ErrorRecord, 'name' | 'message' | 'code'>;
}

/** Which process of which deployment. */
export interface Instance {
  app: string;
  version: string;
  instance: string;
}

/** An attempt that is over, whatever its end. */
export interface EndedAttempt extends Partial<Instance> {
  attempt: number;
  startedAt: string;
  endedAt: string;
  error?: FailedAttempt['error'];
}

/**
 * When a part of a handler ran: its begin in ms since 1970, the ms that it took (null while it lasts), and
 * the attempt. Short, as a checkpoint has one for each step.
 */
export type Ran = [begin: number, ms: number | null, attempt: number];

/** What a waiting job waits for: it goes on as soon as one of them has come. */
export interface Waits {
  /** When the first of its sleeps and timeouts ends. */
  until?: string;
  events?: string[];
  /** Groups of children. */
  children?: string[];
  /** It has not begun this turn: `type NAME` or `lane NAME` is paused. */
  pause?: string;
}

/** The children that a job sent out under one name. */
export interface ChildGroup {
  of: number;
  /** When they were first sent, and in which turn of their parent: their ids follow from both … */
  at: string;
  turn?: number;
  /** … and from what nobody can guess. */
  salt?: string;
  /** All were sent: the job has waited for it. */
  sent?: true;
  /** All are awaited, whatever becomes of them; else the first failure ends the wait. */
  settled?: true;
  /** Which have ended: bit i of byte i / 8, in base64. */
  ended: string;
  done: number;
  /** Those that ended otherwise than succeeded; the first hundred. */
  failed: number[];
}

/** How a job is to end once its steps are undone. */
export interface Ending {
  state: 'failed' | 'cancelled';
  error: ErrorRecord;
  /** Of the undo of `step`. */
  tries: number;
  step?: string;
}

/** A run that was begun, and whose end nobody has told yet. */
export interface Start {
  owner: string;
  at: string;
  /** Nothing else ran in its process. */
  alone?: true;
}

/** A step that was undone, or whose undo failed each time. */
export interface UndoneStep {
  step: string;
  /** When its undo began, and ended. */
  from?: string;
  at: string;
  /** The step itself. */
  ran?: Ran;
  error?: Pick<ErrorRecord, 'name' | 'message' | 'code'>;
}

/** What is kept whatever the state. All times are ISO 8601 in UTC. */
interface Known extends Provenance {
  id: string;
  type: string;
  lane: string;
  queue: string;
  key?: string;
  session?: string;
  tags?: string[];
  createdAt: string;
  /** When the next attempt is due, if not at once. */
  runAt?: string;
  /** Not started by then: expired. */
  startBefore?: string;
  startedAt?: string;
  finishedAt?: string;
  /** The attempt that runs or runs next, from 1. */
  attempt: number;
  /** The hand-over that runs or is next, from 1: each retry, wake-up and new start is one. */
  turn: number;
  progress?: Progress;
  checkpoint?: StoredValue;
  /** So that its message can be made again, and people see what it was asked to do. */
  input?: StoredValue;
  /** Its type keeps no input: it is there only while the job may need it. */
  unkept?: true;
  waits?: Waits;
  /** The turn that a wake-up began. */
  woken?: number;
  /** The pause whose end it was sent on by: that one holds it no more. */
  released?: string;
  /** Its place while it was parked. */
  releasedFrom?: string;
  /** Until when timers have rung, whatever a worker's clock says. */
  rung?: string;
  /** Events that came, by name. */
  events?: Record<string, StoredValue>;
  children?: Record<string, ChildGroup>;
  /** Has kept steps that are to be undone should it fail. */
  undoable?: true;
  ending?: Ending;
  undone?: UndoneStep[];
  /** The broker's number of the message by which it runs. */
  sequence?: string;
  /** Runs of this turn that began and did not end, since it last came further. */
  starts?: Start[];
  /** How often it was put back into its queue after the broker had given up on its message. */
  putBack?: number;
  /** The action that started it again last, and from which turn. */
  retriedBy?: string;
  /** Attempts made before somebody started the failed job again. */
  triedBefore?: number;
  result?: StoredValue;
  error?: ErrorRecord;
  /** How long it is there once it has ended, and until when that is. */
  keep?: Duration;
  keepUntil?: string;
  /** The last twenty turns before this one, oldest first: what it was when they ended. */
  passed?: { turn: number; attempt: number; state: State }[];
  /** The last twenty attempts that are over, oldest first. */
  attempts?: EndedAttempt[];
  /** Where the present attempt ran last. */
  ranBy?: Instance;
  /** By which the job began. */
  version?: string;
  /** The last twenty attempts that failed, oldest first. */
  history?: FailedAttempt[];
  cancelRequestedAt?: string;
  /** Written by one whose message may not be the one that counts: the message completes it. */
  provisional?: true;
  /** A stranger's message made it, which has not been taken in yet. */
  untaken?: true;
  /** The delivery that wrote last: a worker that finds another's has lost the job. */
  owner?: string;
  /** Counts the owner's writes, so that it knows its own. */
  writes?: number;
}

/** Its message is in a lane, or a worker has it. */
export interface OpenRecord extends Known {
  state: 'scheduled' | 'queued' | 'running';
}

/** No message is in a lane: it goes on when a signal comes. */
export interface WaitingRecord extends Known {
  state: 'waiting';
  waits: Waits;
}

export interface EndedRecord extends Known {
  state: EndState;
  finishedAt: string;
  keepUntil: string;
}

export type JobRecord = OpenRecord | WaitingRecord | EndedRecord;

export const isEnded = (record: JobRecord): record is EndedRecord => hasEnded(record.state);

const passedListed = 20;

/** The job is handed over anew. Who watches it may not have looked since the turn before. */
export const nextTurn = ({ turn, attempt, state, passed = [] }: JobRecord) => ({
  turn: turn + 1,
  passed: [...passed, { turn, attempt, state }].slice(-passedListed),
});
