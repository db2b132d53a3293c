/** What a caller sees: job types by name, with their inputs and results, and no code of a handler. */
import type { Duration, JobRequest, JobType, RequestOptions } from '../define/define-job.ts';
import type { State } from '../model/job-record.ts';

// biome-ignore lint/suspicious/noExplicitAny: the widest job type; never reaches a caller
type AnyType = JobType<string, any, any>;

export type NamesOf<C extends readonly AnyType[]> = C[number]['type'];
type Named<C extends readonly AnyType[], N> = Extract<C[number], { readonly type: N }>;
export type InputOf<C extends readonly AnyType[], N> =
  Named<C, N> extends JobType<string, infer I, unknown> ? I : never;
export type ResultOf<C extends readonly AnyType[], N> =
  ReturnType<Named<C, N>['with']> extends JobRequest<infer R> ? R : never;

export type { AnyType };

export interface JobStatus {
  readonly id: string;
  readonly type: string;
  readonly state: State;
  readonly attempt: number;
  readonly createdAt: string;
  readonly tags?: readonly string[];
  /** By which it began. */
  readonly version?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly progress?: { done: number; of?: number; note?: string };
  readonly result?: unknown;
  readonly error?: { name: string; message: string; code?: string };
}

/** Something that lasted, and what lasted within it. */
export interface Span {
  readonly kind: string;
  readonly name?: string;
  readonly begin: string;
  /** None while it lasts. */
  readonly end?: string;
  readonly attempt?: number;
  readonly error?: { name?: string; message: string; code?: string };
  readonly spans?: readonly Span[];
  readonly [more: string]: unknown;
}

export interface Timeline extends Span {
  readonly id: string;
  readonly type: string;
  readonly state: State;
}

export interface LogPage {
  readonly state: State;
  readonly lines: readonly {
    readonly at: string;
    readonly level: 'info' | 'warn' | 'error';
    readonly message: string;
    readonly attempt: number;
    readonly fields?: unknown;
  }[];
  /** Where to go on. */
  readonly after: number;
}

/** Of what was sent as many: the answer to each, in order. */
export interface BatchAnswer {
  readonly accepted: number;
  readonly refused: number;
  readonly results: readonly { status: number; id?: string; [more: string]: unknown }[];
}

export interface WaitOptions {
  /** Default: as long as it takes. */
  timeout?: Duration;
  signal?: AbortSignal;
}

/** Of a call, also beside a request that was made by `with`: these win over the request's own. */
export interface CallOptions extends RequestOptions {
  /** How long the whole call may take; default '1m'. A job that was taken goes on when it is over. */
  timeout?: Duration;
  signal?: AbortSignal;
}

/** Over Service Bus the client itself is the one that gets the reply, so there is no other to name. */
export interface BusCallOptions
  extends Omit<CallOptions, 'callback' | 'replyTo' | 'replyToSessionId' | 'correlationId'> {
  /** Of types with a key: what the type makes of the input. Goes to the lane's keyed queue. */
  key?: string;
}

/** The functions of a group: the part of each name after the prefix. */
export type Functions<C extends readonly AnyType[], P extends string, O> = {
  [N in NamesOf<C> as N extends `${P}${infer Rest}` ? Rest : never]: (
    input: InputOf<C, N>,
    options?: O,
  ) => Promise<ResultOf<C, N>>;
};

/** Calls jobs as if they were functions. */
export interface Caller<C extends readonly AnyType[], O = CallOptions> {
  /** @throws JobFailedError, CallTimeoutError, RequestRefusedError, UnreachableError, the signal's reason */
  call<N extends NamesOf<C>>(type: N, input: InputOf<C, N>, options?: O): Promise<ResultOf<C, N>>;
  call<R>(request: JobRequest<R>, options?: O): Promise<R>;
  /** Job types whose names begin alike, as one object of functions. */
  functions<P extends string>(prefix: P): Functions<C, P, O>;
}

/** The request of either form of a call, and what the call is told beside it. */
export function toRequest(
  typeOrRequest: string | JobRequest,
  inputOrOptions: unknown,
  options: (CallOptions & BusCallOptions) | undefined,
): { request: JobRequest; options: WaitOptions & { key?: string } } {
  const isRequest = typeof typeOrRequest !== 'string';
  const given = (isRequest ? inputOrOptions : options) as
    | (CallOptions & BusCallOptions)
    | undefined;
  const { timeout, signal, key, ...own } = given ?? {};
  const request = isRequest
    ? { ...typeOrRequest, options: { ...typeOrRequest.options, ...own } }
    : { type: typeOrRequest, input: inputOrOptions, options: own };
  const how = {
    ...(timeout === undefined ? {} : { timeout }),
    ...(signal === undefined ? {} : { signal }),
    ...(key === undefined ? {} : { key }),
  };
  return { request, options: how };
}

export const functionsOf = <C extends readonly AnyType[], P extends string, O>(
  call: (type: string, input: unknown, options?: O) => Promise<unknown>,
  prefix: P,
): Functions<C, P, O> =>
  new Proxy({} as Functions<C, P, O>, {
    get: (_, name) =>
      // A promise is told by its `then`: this object is none.
      typeof name === 'string' && name !== 'then'
        ? (input: unknown, options?: O) => call(`${prefix}${name}`, input, options)
        : undefined,
  });
