/** What the clients have in common: a call by name or by request, and the functions of a group. */
import type { JobRequest } from '../define/define-job.ts';
import {
  type AnyType,
  type Caller,
  type Functions,
  functionsOf,
  type InputOf,
  type NamesOf,
  type ResultOf,
  toRequest,
  type WaitOptions,
} from './types.ts';

/** Makes one call. */
export type Make = (
  request: JobRequest,
  options: WaitOptions & { key?: string },
) => Promise<unknown>;

export class JobCaller<C extends readonly AnyType[], O extends object> implements Caller<C, O> {
  readonly #make: Make;

  constructor(make: Make) {
    this.#make = make;
  }

  call<N extends NamesOf<C>>(type: N, input: InputOf<C, N>, options?: O): Promise<ResultOf<C, N>>;
  call<R>(request: JobRequest<R>, options?: O): Promise<R>;
  call(typeOrRequest: string | JobRequest, input?: unknown, more?: O): Promise<unknown> {
    return this.#call(typeOrRequest, input, more);
  }

  async #call(typeOrRequest: string | JobRequest, input?: unknown, more?: O): Promise<unknown> {
    const { request, options } = toRequest(typeOrRequest, input, more);
    return this.#make(request, options);
  }

  functions<P extends string>(prefix: P): Functions<C, P, O> {
    return functionsOf<C, P, O>((...given) => this.#call(...given), prefix);
  }
}
