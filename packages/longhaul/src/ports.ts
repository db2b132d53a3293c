/** What the rules need from outside, in few methods; `azure/` keeps them on the real services. */
import type { EndedRecord, EndState, JobRecord, State } from './model/job-record.ts';
import type { IncomingMessage, OutgoingMessage } from './model/message.ts';
import type { Schedule } from './model/schedule.ts';

/** Time and timers; tests pass one that they advance. */
export interface Clock {
  now(): Date;
  /** Calls `run` after `ms`; answers what cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** A record as it was read: `etag` is undefined while it is not stored yet. */
export interface Stored {
  record: JobRecord;
  etag: string | undefined;
}

export interface RecordFilter {
  type?: string | undefined;
  state?: State | undefined;
  /** In any of these. */
  states?: readonly State[] | undefined;
  key?: string | undefined;
  parent?: string | undefined;
  schedule?: string | undefined;
  requestedBy?: string | undefined;
  /**
   * Submitted from this time on and before that one, to ten seconds. Under ids that senders chose there
   * is no finding by time.
   */
  from?: Date | undefined;
  to?: Date | undefined;
  tag?: string | undefined;
}

export interface Records {
  read(id: string): Promise<Stored | undefined>;
  /**
   * Those that are there, in any order and without input and checkpoint; for many of a few partitions.
   */
  readMany(ids: readonly string[]): Promise<JobRecord[]>;
  /**
   * Inserts the record, or replaces it if it is still the one that was read.
   * @throws ConflictError when another writer was first.
   */
  write(record: JobRecord, etag: string | undefined): Promise<Stored>;
  /** Newest first, without input and checkpoint. */
  list(
    filter: RecordFilter,
    limit: number,
    cursor: string | undefined,
  ): Promise<{ records: JobRecord[]; cursor: string | undefined }>;
}

/** A tombstone: when the record was due to be removed, and how its job had ended. */
export interface Removed {
  at: string;
  state: EndState | undefined;
}

/** Records that have expired. */
export interface Removal {
  /** Those of a partition whose `keepUntil` has passed. */
  expired(partition: string, now: Date): Promise<EndedRecord[]>;
  /** Removes records of a partition; a tombstone each stays. */
  remove(partition: string, records: readonly EndedRecord[]): Promise<void>;
  /** What is left of a record that was removed; undefined if there never was one, or long ago. */
  removed(id: string): Promise<Removed | undefined>;
  /** Removes the tombstones of records that were removed before. */
  forget(partition: string, before: Date): Promise<void>;
}

/** A schedule as it was read. */
export interface StoredSchedule {
  schedule: Schedule;
  etag: string;
}

export interface ScheduleFilter {
  type?: string | undefined;
  tenant?: string | undefined;
  enabled?: boolean | undefined;
}

export interface Schedules {
  /**
   * What nobody else can know of a schedule of that name. The same each time: one that is removed and
   * made again sends no due time twice.
   */
  saltOf(id: string): Promise<string>;
  read(id: string): Promise<StoredSchedule | undefined>;
  /**
   * Inserts it, or replaces it if it is still the one that was read, together with its place in the
   * order of due times. @throws ConflictError when another writer was first
   */
  write(schedule: Schedule, stored: StoredSchedule | undefined): Promise<void>;
  /** @throws ConflictError */
  remove(stored: StoredSchedule): Promise<void>;
  /** Ids of those that somebody has to look at by then; costs what is due, not what there is. */
  due(until: Date): AsyncIterable<string[]>;
  list(
    filter: ScheduleFilter,
    limit: number,
    cursor: string | undefined,
  ): Promise<{ schedules: Schedule[]; cursor: string | undefined }>;
}

/** Small values under a name: claims of idempotency keys, how far a schedule or a watch has come. */
export interface KeyValueStore {
  read(kind: string, name: string): Promise<string | undefined>;
  write(kind: string, name: string, value: string): Promise<void>;
  /** Writes it if there is none; answers the one that is there. */
  claim(kind: string, name: string, value: string): Promise<string>;
  /** Writes it if it is still `instead`; false when another was first. */
  replace(kind: string, name: string, value: string, instead: string): Promise<boolean>;
  /** With `id`, only if the note stands for that job (`isClaimOf`). */
  remove(kind: string, name: string, id?: string): Promise<void>;
  /** Names that sort before this one. */
  list(kind: string, before: string): Promise<string[]>;
  /** Notes whose names sort after this one, in order; a thousand at most. */
  after(kind: string, name: string): Promise<{ name: string; value: string }[]>;
}

export interface Queue {
  /** Resolves when the broker has it. @throws QueueNotFoundError */
  send(message: OutgoingMessage): Promise<void>;
  /** Dead letters after this sequence number, oldest first, without locking them. */
  peekDeadLetters(queue: string, after: number, limit: number): Promise<DeadLetter[]>;
  /** What lies in it or in its dead letters, oldest first, without locking it. */
  peek(queue: string, limit: number, of?: 'dead letters'): Promise<LyingMessage[]>;
  /** Takes them, oldest first, so that each can be removed. */
  openDeadLetters(queue: string): LetterReader;
}

/** A message that somebody may take. */
export interface LyingMessage {
  state: 'active' | 'scheduled' | 'deferred';
  sessionId?: string | undefined;
  enqueuedAt?: Date | undefined;
  /** The job that it is of, as far as it says so itself. */
  job: string | undefined;
}

export interface TakenLetter extends DeadLetter {
  remove(): Promise<void>;
}

export interface LetterReader {
  /** The next of them; none when there are no others. What is not removed is held. */
  next(limit: number): Promise<TakenLetter[]>;
  /** Puts back what is held. */
  close(): Promise<void>;
}

export interface DeadLetter {
  sequence: number;
  message: IncomingMessage;
  reason: string | undefined;
  description: string | undefined;
}

/** One hand-over by the broker; exactly one of the three ends it. */
export interface Delivery {
  readonly message: IncomingMessage;
  complete(): Promise<void>;
  abandon(): Promise<void>;
  deadLetter(reason: string, description: string): Promise<void>;
  /** The state of the session it came in; undefined on a plain queue. */
  readonly session?: SessionState;
}

/** Kept by the broker, and refused to whoever lost the session's lock. */
export interface SessionState {
  get(): Promise<Buffer | undefined>;
  set(state: Buffer): Promise<void>;
  /** Lets another receiver have it, after the present delivery. */
  release(): Promise<void>;
}

export interface Blobs {
  write(name: string, content: Uint8Array, contentType: string): Promise<void>;
  /** Undefined when there is none. */
  read(name: string): Promise<{ content: Buffer; contentType: string } | undefined>;
  /**
   * Adds to the end of a blob, which is made if it is not there; answers how long it is then. Undefined,
   * and nothing is added, when it would be longer than `mostBytes`.
   */
  append(name: string, content: Uint8Array, mostBytes: number): Promise<number | undefined>;
  /** So many bytes of it from there on, or those that there are; none when there is no such blob. */
  readPart(name: string, from: number, bytes: number): Promise<Buffer>;
  /** No error when there is none. */
  remove(name: string): Promise<void>;
  removeAll(prefix: string): Promise<void>;
  /** A blob that people put into the inbox container. @throws NonRetryableError when there is none */
  readInbox(name: string): Promise<Buffer>;
}

/** What a line of the log is about. */
export interface LogFields {
  job?: string;
  type?: string;
  attempt?: number;
  /** Told with its stack and its causes. */
  error?: unknown;
}

export type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: LogFields) => void;
