/** All that the author of a job sees: `defineJob`, the `job` a handler gets, and requests. */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Duration } from '../model/duration.ts';
import type { LaneName } from '../model/topology.ts';

export type { Duration } from '../model/duration.ts';
export type { LaneName } from '../model/topology.ts';

type Schema = StandardSchemaV1;
type In<S extends Schema> = StandardSchemaV1.InferInput<S>;
type Out<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** Stands where a value is that JSON does not give back; its text is what the compiler then says. */
export type NotJson = 'not JSON: use text, numbers, lists and plain objects instead';

/** `T` if JSON gives it back unchanged, else `NotJson` at the place that does not survive. */
export type Plain<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends
          | Date
          | Map<unknown, unknown>
          | Set<unknown>
          | Uint8Array
          | Promise<unknown>
          | bigint
          | symbol
          | ((...args: never[]) => unknown)
      ? NotJson
      : { [K in keyof T]: Plain<T[K]> };

/** Nothing more to ask of a schema that reads or makes JSON; `NotJson` for any other. */
type ReadsJson<S extends Schema> = In<S> extends Plain<In<S>> ? unknown : NotJson;
type MakesJson<S extends Schema> = Out<S> extends Plain<Out<S>> ? unknown : NotJson;

/** Who asked for a job. */
export interface Requester {
  readonly requestedBy?: string;
  readonly parent?: string;
  readonly schedule?: string;
}

export type Backoff =
  | {
      /** Before the second attempt. */
      initial: Duration;
      /** By which each wait grows; default 2. */
      factor?: number;
      /** The longest wait; default '10m'. */
      max?: Duration;
      /** Spreads the waits over 50 to 100 %, so that failures do not return together; default true. */
      jitter?: boolean;
    }
  | ((attempt: number, error: Error) => Duration);

/** A job that recurs; checked when the app starts. Give one of `cron` and `every`. */
export interface DeclaredSchedule<I> {
  /** Unique in the app, stable between deployments. */
  id: string;
  /** Five fields, or six with seconds in front. */
  cron?: string;
  /** IANA name; default UTC. */
  timeZone?: string;
  /** From the end of one run to the start of the next. */
  every?: Duration;
  input: I;
  /** A due time while the run before it is under way: default 'skip'. */
  overlap?: 'skip' | 'queue' | 'allow';
  /** Due times that passed in an outage: none, the last (default), all up to a hundred. */
  misfire?: 'skip' | 'once' | 'all';
  /** Spreads the starts over so long a time after the due time. */
  jitter?: Duration;
}

/** When, where and how often a job runs. Every option has a default that is safe. */
export interface JobPolicy<I> {
  /** The class of worker; default 'standard'. Lanes stand in topology.json. */
  lane?: LaneName;
  /**
   * Jobs with the same key run one at a time, in the order in which they came. Job types of one lane
   * that give the same key share it.
   */
  key?: (input: I, requester: Requester) => string;
  /** How many jobs of a key run at once, from 1 to 1000; default 1. Above 1 their order is loose. */
  limit?: number;
  /**
   * The jobs of a key keep their order through retries too: a failed attempt is tried again while the
   * rest of its key waits. Needs `key`, and a job that does not wait (sleep, event, children).
   */
  ordered?: boolean;
  /** The lanes that a request may ask for instead, by `priority`. */
  priorities?: readonly LaneName[];
  /**
   * Equal jobs are one job: a submit answers with the one that is there, `deduplicated: true`.
   * `by` says what makes two jobs equal (any JSON value), default the whole input. `until` says for
   * how long: until it started, until it finished, or as long as its result is given again.
   * A job that failed, was cancelled or expired is no longer in the way.
   */
  unique?: {
    by?: (input: I, requester: Requester) => unknown;
    until: 'started' | 'finished' | 'expiry';
  };
  /**
   * How long after its end a job's record, result and files are there, and with `unique` until
   * 'expiry' its result is given again; default '7d'.
   */
  keep?: Duration;
  /** By which its jobs are found again, or what makes them of the input; ten at most. */
  tags?: readonly string[] | ((input: I, requester: Requester) => readonly string[]);
  /** False keeps no input once the job has succeeded, and shows it to nobody; default true. */
  keepInput?: boolean;
  /**
   * JSON Pointers to what of the input nobody sees who asks the API for it: `/card/number`. It is
   * kept all the same, as the job may need it.
   */
  redact?: readonly string[];
  /** A job not started by then ends as expired; default never. */
  startBefore?: Duration;
  /** For one attempt; default '5m', at most what the lane allows. */
  timeout?: Duration;
  /** How often it is tried in all; default 5. */
  attempts?: number;
  /**
   * How often its process may die while it runs this job and nothing else, before the job fails with
   * `crashed`; default 3. Progress (a step, a saved checkpoint) counts from the start again.
   */
  crashes?: number;
  /** Default { initial: '5s', factor: 2, max: '10m', jitter: true }. */
  backoff?: Backoff;
  /** Earlier names: messages that still carry one run as this type. */
  formerly?: readonly string[];
}

/** What belongs to one request, not to the type. */
export interface RequestOptions {
  delay?: Duration;
  runAt?: Date;
  startBefore?: Duration;
  /** Another lane than the type's, one of its `priorities`. */
  priority?: LaneName;
  /** A reply queue of topology.json; the reply carries `correlationId`. */
  replyTo?: string;
  replyToSessionId?: string;
  correlationId?: string;
  /** Its end is told there by POST, signed by the Standard Webhooks scheme. */
  callback?: { url: string };
  requestedBy?: string;
  /** Beside those of its type: ten in all, of 64 characters each. */
  tags?: readonly string[];
}

/** A type with an input: what submit takes. */
export interface JobRequest<R = unknown> {
  readonly type: string;
  readonly input: unknown;
  readonly options?: RequestOptions | undefined;
  readonly '~result'?: R;
}

export interface JobFiles {
  /** Keeps a file with the job: `GET /api/jobs/{id}/files/{name}`. Written twice, the last one stays. */
  write(
    name: string,
    content: string | Uint8Array,
    contentType?: string,
  ): Promise<{ name: string; bytes: number }>;
  /** A blob of the container `inbox`. @throws NonRetryableError when there is none */
  readInbox(name: string): Promise<Buffer>;
}

export type Settled<R> = { ok: true; result: R } | { ok: false; error: Error };
type Results<T extends readonly JobRequest[]> = {
  -readonly [K in keyof T]: T[K] extends JobRequest<infer R> ? R : never;
};
type AllSettled<T extends readonly JobRequest[]> = {
  -readonly [K in keyof T]: T[K] extends JobRequest<infer R> ? Settled<R> : never;
};

/** What others may tell a job while it runs or waits, by name. */
export type Events = Record<string, Schema>;

type LogLine = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** `job.log('read', { rows })`, `job.log.warn('slow')`. A field `error` is told with its stack. */
export interface JobLog extends LogLine {
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** Small state of the key, handed from job to job. @throws NoSessionError where there is none */
export interface JobSession {
  /** What the last job of the key left that returned, or what this one has set. */
  get<T>(): Promise<T | undefined>;
  /** Written when the handler returns: an attempt that fails leaves nothing. 120 KB at most. */
  set<T>(value: T & Plain<T>): Promise<void>;
}

/**
 * What a handler gets beside its input. Code between steps runs again on every attempt and after
 * every wait. Names of steps and waits are unique in a job, and come in the same order each time.
 */
export interface Job<E extends Events = Events> {
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
  /** Aborted by the timeout, a cancel, a lost lock or a shutdown; `reason` says which. */
  readonly signal: AbortSignal;
  readonly requester: Requester;
  /** When a schedule meant this run to be. */
  readonly scheduledFor?: Date;
  readonly files: JobFiles;
  /** A line in the app's log, with the job's id, and in the job's own: `GET /api/jobs/{id}/log`. */
  readonly log: JobLog;
  /** Says how far the job is. Written at most four times a second; the last report always is. */
  progress(progress: { done: number; of?: number; note?: string }): Promise<void>;
  readonly session: JobSession;
  /**
   * Runs once for the job, however often it is tried: its value is kept in the checkpoint. `undo`
   * takes it back if the job fails for good or is cancelled; `output` checks a kept value that another
   * version of the code may have written; `formerly` are earlier names. @throws StepChangedError
   */
  step<T>(
    name: string,
    run: () => Promise<T & Plain<T>>,
    options?: { undo?: (value: T) => Promise<void>; output?: Schema; formerly?: readonly string[] },
  ): Promise<T>;
  /**
   * A loop that goes on where it was: `save` keeps one value, from which the next attempt starts.
   * What it returns is kept as a step's value is.
   */
  checkpoint<C, T>(
    name: string,
    start: C,
    run: (from: C, save: (next: C & Plain<C>) => Promise<void>) => Promise<T & Plain<T>>,
  ): Promise<T>;
  /** Lets the worker go for that long. A job that sleeps more than once may name its sleeps. */
  sleep(duration: Duration): Promise<void>;
  sleep(name: string, duration: Duration): Promise<void>;
  /** Waits for `POST /jobs/{id}/events/{name}`. @throws EventTimeoutError */
  event<N extends keyof E & string>(name: N, options?: { timeout?: Duration }): Promise<Out<E[N]>>;
  /**
   * Runs other jobs and waits for their results; `limit` says how many at once.
   * @throws ChildFailedError as soon as one ends otherwise than succeeded
   */
  children<const T extends readonly JobRequest[]>(
    name: string,
    requests: T,
    options?: { limit?: number },
  ): Promise<Results<T>>;
  /** The same for children that may fail: waits until all have ended. */
  childrenSettled<const T extends readonly JobRequest[]>(
    name: string,
    requests: T,
    options?: { limit?: number },
  ): Promise<AllSettled<T>>;
}

/** A job type with its input, result and events known to the compiler only. */
export interface JobType<
  Name extends string = string,
  I = never,
  R = unknown,
  E extends Events = Events,
> {
  readonly type: Name;
  readonly definition: Definition;
  readonly '~events'?: E;
  with(input: I, options?: RequestOptions): JobRequest<R>;
}

/** A definition with its types erased, as the pipeline uses it. */
export interface Definition extends JobPolicy<never> {
  readonly type: string;
  readonly input: Schema;
  readonly output?: Schema | undefined;
  readonly schedules?: readonly DeclaredSchedule<unknown>[];
  readonly events?: Events;
  run(input: never, job: Job<never>): Promise<unknown>;
}

export type Catalogue = readonly JobType[];

interface Declared<Name extends string, I extends Schema, E extends Events>
  extends JobPolicy<Out<I>> {
  /** The name on the wire. */
  type: Name;
  /** Any Standard Schema (zod, valibot, arktype). The caller sees its input, the handler its output. */
  input: I;
  schedules?: readonly DeclaredSchedule<In<I>>[];
  /** What `job.event` may wait for, with the schema of what comes with it. */
  events?: E;
}

/**
 * Defines a job type. One file for a type, and a line in `jobs/catalogue.ts`.
 *
 * @example
 * export const greet = defineJob({
 *   type: 'greet',
 *   input: z.object({ name: z.string() }),
 *   async run({ name }) {
 *     return { text: `Hello, ${name}` };
 *   },
 * });
 */
export function defineJob<
  const Name extends string,
  I extends Schema,
  R,
  O extends Schema | undefined = undefined,
  E extends Events = Record<never, Schema>,
>(
  definition: Declared<Name, I, E> & {
    input: ReadsJson<I>;
    /** Reads the result before it is kept; without it the result is what `run` returns. */
    output?: O & (O extends Schema ? MakesJson<O> : unknown);
    run(input: Out<I>, job: Job<E>): Promise<O extends Schema ? In<O> : R & Plain<R>>;
  },
): JobType<Name, In<I>, O extends Schema ? Out<O> : R, E> {
  const known = definition as unknown as Definition;
  return {
    type: known.type as Name,
    definition: known,
    with: (input, options) => ({ type: known.type, input, options }),
  };
}
