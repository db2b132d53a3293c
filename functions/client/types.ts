/** What a caller sees: job types by name, with their inputs and results, and no code of a handler. */
import type { Duration, JobRequest, JobType, RequestOptions } from '../define-job.ts';

// biome-ignore lint/suspicious/noExplicitAny: the widest job type; never reaches a caller
type AnyType = JobType<string, any, any>;

export type NamesOf<C extends readonly AnyType[]> = C[number]['type'];
type Named<C extends readonly AnyType[], N> = Extract<C[number], { readonly type: N }>;
export type InputOf<C extends readonly AnyType[], N> =
  Named<C, N> extends JobType<string, infer I, unknown> ? I : never;
export type ResultOf<C extends readonly AnyType[], N> =
  ReturnType<Named<C, N>['with']> extends JobRequest<infer R> ? R : never;

export type { AnyType };

export interface CallOptions extends RequestOptions {
  /** How long to wait for the result; default '1m'. The job goes on when it is over. */
  timeout?: Duration;
  signal?: AbortSignal;
}

export interface WaitOptions {
  /** Default: as long as it takes. */
  timeout?: Duration;
  signal?: AbortSignal;
}

/** The functions of a group: the part of each name after the prefix. */
export type Functions<C extends readonly AnyType[], P extends string> = {
  [N in NamesOf<C> as N extends `${P}${infer Rest}` ? Rest : never]: (
    input: InputOf<C, N>,
    options?: CallOptions,
  ) => Promise<ResultOf<C, N>>;
};

/** Calls jobs as if they were functions. */
export interface Caller<C extends readonly AnyType[]> {
  /** @throws JobFailedError, CallTimeoutError, RequestRefusedError, and the signal's reason */
  call<N extends NamesOf<C>>(
    type: N,
    input: InputOf<C, N>,
    options?: CallOptions,
  ): Promise<ResultOf<C, N>>;
  call<R>(request: JobRequest<R>, options?: CallOptions): Promise<R>;
  /** Job types whose names begin alike, as one object of functions. */
  functions<P extends string>(prefix: P): Functions<C, P>;
}

/** The request of either form of a call. */
export function toRequest(
  typeOrRequest: string | JobRequest,
  inputOrOptions: unknown,
  options: CallOptions | undefined,
): { request: JobRequest; options: CallOptions } {
  if (typeof typeOrRequest === 'string') {
    const { timeout: _t, signal: _s, ...own } = options ?? {};
    const request = { type: typeOrRequest, input: inputOrOptions, options: own };
    return { request, options: options ?? {} };
  }
  return { request: typeOrRequest, options: (inputOrOptions ?? {}) as CallOptions };
}

export const functionsOf = <C extends readonly AnyType[], P extends string>(
  call: (type: string, input: unknown, options?: CallOptions) => Promise<unknown>,
  prefix: P,
): Functions<C, P> =>
  new Proxy({} as Functions<C, P>, {
    get: (_, name) =>
      // A promise is told by its `then`: this object is none.
      typeof name === 'string' && name !== 'then'
        ? (input: unknown, options?: CallOptions) => call(`${prefix}${name}`, input, options)
        : undefined,
  });
