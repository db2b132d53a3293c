/** All that the author of a job sees: `defineJob`, the `job` a handler gets, and requests. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Duration } from './model/duration.ts';

export type { Duration } from './model/duration.ts';

type Schema = StandardSchemaV1;
type In<S extends Schema> = StandardSchemaV1.InferInput<S>;
type Out<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** `T` if JSON gives it back unchanged, else `never` at the place that does not survive. */
export type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends
        | Date
        | Map<unknown, unknown>
        | Set<unknown>
        | Uint8Array
        | bigint
        | symbol
        | ((...args: never[]) => unknown)
    ? never
    : { [K in keyof T]: Plain<T[K]> };

/** Who asked for a job. */
export interface Asker {
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

/** A job that recurs; checked when the app starts. */
export interface DeclaredSchedule<I> {
  /** Unique in the app, stable between deployments. */
  id: string;
  /** Five fields, or six with seconds in front. */
  cron: string;
  /** IANA name; default UTC. */
  timeZone?: string;
  input: I;
}

/** When, where and how often a job runs. Every option has a default that is safe. */
export interface JobPolicy<I> {
  /** The class of worker; default 'standard'. Lanes stand in topology.json. */
  lane?: 'urgent' | 'standard' | 'bulk' | 'heavy';
  /**
   * Jobs with the same key run one at a time, in the order in which they came. Job types of one lane
   * that give the same key share it.
   */
  key?: (input: I, asker: Asker) => string;
  /** How many jobs of a key run at once, from 1 to 1000; default 1. Above 1 their order is loose. */
  limit?: number;
  /**
   * Equal jobs are one job: a submit answers with the one that is there, `deduplicated: true`.
   * `by` says what makes two jobs equal (any JSON value), default the whole input. `until` says for
   * how long: until it started, until it finished, or as long as its result is given again.
   * A job that failed, was cancelled or expired is no longer in the way.
   */
  unique?: {
    by?: (input: I, asker: Asker) => unknown;
    until: 'started' | 'finished' | 'expiry';
  };
  /** With `unique` until 'expiry': how long after its end a result is given again; default '7d'. */
  keep?: Duration;
  /** A job not started by then ends as expired; default never. */
  startBefore?: Duration;
  /** For one attempt; default '5m', at most what the lane allows. */
  timeout?: Duration;
  /** How often it is tried in all; default 5. */
  attempts?: number;
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
  /** A reply queue of topology.json; the reply carries `correlationId`. */
  replyTo?: string;
  replyToSessionId?: string;
  correlationId?: string;
  requestedBy?: string;
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

/** What a handler gets beside its input. Code between steps runs again on every attempt. */
export interface Job {
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
  /** Aborted by the timeout, a cancel, a lost lock or a shutdown; `reason` says which. */
  readonly signal: AbortSignal;
  readonly asker: Asker;
  /** When a schedule meant this run to be. */
  readonly scheduledFor?: Date;
  readonly files: JobFiles;
  /** A line in the app's log, with the job's id. */
  log(message: string): void;
  /** Says how far the job is. Written at most four times a second; the last report always is. */
  progress(progress: { done: number; of?: number; note?: string }): Promise<void>;
  /** Runs once for the job, however often it is tried: its value is kept in the checkpoint. */
  step<T>(name: string, run: () => Promise<T & Plain<T>>): Promise<T>;
  /** A loop that goes on where it was: `save` keeps one value, from which the next attempt starts. */
  checkpoint<C, T>(
    name: string,
    start: C,
    run: (from: C, save: (next: C & Plain<C>) => Promise<void>) => Promise<T & Plain<T>>,
  ): Promise<T>;
}

/** A job type with its input and result known to the compiler only. */
export interface JobType<Name extends string = string, I = never, R = unknown> {
  readonly type: Name;
  readonly definition: Definition;
  with(input: I, options?: RequestOptions): JobRequest<R>;
}

/** A definition with its types erased, as the pipeline uses it. */
export interface Definition extends JobPolicy<never> {
  readonly type: string;
  readonly input: Schema;
  readonly output?: Schema | undefined;
  readonly schedules?: readonly DeclaredSchedule<unknown>[];
  run(input: never, job: Job): Promise<unknown>;
}

export type Catalogue = readonly JobType[];

interface Declared<Name extends string, I extends Schema> extends JobPolicy<Out<I>> {
  /** The name on the wire. */
  type: Name;
  /** Any Standard Schema (zod, valibot, arktype). The caller sees its input, the handler its output. */
  input: I;
  schedules?: readonly DeclaredSchedule<In<I>>[];
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
export function defineJob<const Name extends string, I extends Schema, R>(
  definition: Declared<Name, I> & {
    output?: undefined;
    run(input: Out<I>, job: Job): Promise<R & Plain<R>>;
  },
): JobType<Name, In<I>, R>;
export function defineJob<const Name extends string, I extends Schema, O extends Schema>(
  definition: Declared<Name, I> & {
    output: O;
    run(input: Out<I>, job: Job): Promise<In<O>>;
  },
): JobType<Name, In<I>, Out<O>>;
export function defineJob(definition: unknown): JobType<string, unknown, unknown> {
  const known = definition as Definition;
  return {
    type: known.type,
    definition: known,
    with: (input, options) => ({ type: known.type, input, options }),
  };
}
