/** Jobs of another app, over HTTP. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { JobRequest, RequestOptions } from '../define/define-job.ts';
import { LonghaulError } from '../errors.ts';
import { timeoutSignal } from '../long-timer.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded, type State } from '../model/job-record.ts';
import { JobCaller } from './caller.ts';
import {
  CallTimeoutError,
  JobFailedError,
  RequestRefusedError,
  UnreachableError,
} from './errors.ts';
import {
  type AnyType,
  type Caller,
  type CallOptions,
  type InputOf,
  type NamesOf,
  type ResultOf,
  toRequest,
  type WaitOptions,
} from './types.ts';

export interface HttpOptions {
  /** Where the app is: `https://jobs.example.com`, without `/api`. */
  url: string;
  /** Of every request, such as `x-functions-key`. */
  headers?: Record<string, string>;
}

export interface JobStatus {
  readonly id: string;
  readonly type: string;
  readonly state: State;
  readonly attempt: number;
  readonly progress?: { done: number; of?: number; note?: string };
  readonly result?: unknown;
  readonly error?: { name: string; message: string; code?: string };
}

export interface JobHandle<R> {
  readonly id: string;
  status(): Promise<JobStatus>;
  /** Each change of the status, the end last. */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<JobStatus>;
  /** @throws JobFailedError, CallTimeoutError */
  result(options?: WaitOptions): Promise<R>;
  cancel(): Promise<void>;
}

export interface HttpClient<C extends readonly AnyType[]> extends Caller<C> {
  submit<N extends NamesOf<C>>(
    type: N,
    input: InputOf<C, N>,
    options?: RequestOptions,
  ): Promise<JobHandle<ResultOf<C, N>>>;
  submit<R>(request: JobRequest<R>): Promise<JobHandle<R>>;
  job<R = unknown>(id: string): JobHandle<R>;
}

/** `connect<typeof catalogue>({ url })`: the catalogue is imported as a type only. */
export function connect<const C extends readonly AnyType[]>(options: HttpOptions): HttpClient<C> {
  return new HttpCaller<C>(new Http(options));
}

class HttpCaller<C extends readonly AnyType[]>
  extends JobCaller<C, CallOptions>
  implements HttpClient<C>
{
  readonly #http: Http;

  constructor(http: Http) {
    super((request, options) => {
      let id: string | undefined;
      return within(
        { timeout: '1m', ...options },
        () => id,
        async (signal) => {
          id = (await http.submit(request, signal)).id;
          return http.result(id, signal);
        },
      );
    });
    this.#http = http;
  }

  submit<N extends NamesOf<C>>(
    type: N,
    input: InputOf<C, N>,
    options?: RequestOptions,
  ): Promise<JobHandle<ResultOf<C, N>>>;
  submit<R>(request: JobRequest<R>): Promise<JobHandle<R>>;
  async submit(typeOrRequest: string | JobRequest, input?: unknown, more?: RequestOptions) {
    const { request } = toRequest(typeOrRequest, input, more);
    return new Handle<never>(this.#http, (await this.#http.submit(request)).id);
  }

  job<R = unknown>(id: string): JobHandle<R> {
    return new Handle<R>(this.#http, id);
  }
}

/** Under one signal for all that it does. @throws CallTimeoutError, the reason of the caller's signal */
async function within<T>(
  { timeout, signal: given }: WaitOptions,
  idOf: () => string | undefined,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = timeout === undefined ? undefined : timeoutSignal(toMs(timeout));
  const signals = [late?.signal, given].filter((one) => one !== undefined);
  try {
    return await act(AbortSignal.any(signals));
  } catch (error) {
    if (error instanceof LonghaulError) throw error;
    given?.throwIfAborted();
    if (late?.signal.aborted)
      throw new CallTimeoutError(idOf(), { timeout: timeout ?? '', cause: error });
    throw error;
  } finally {
    late?.cancel();
  }
}

class Handle<R> implements JobHandle<R> {
  readonly id: string;
  readonly #http: Http;

  constructor(http: Http, id: string) {
    this.#http = http;
    this.id = id;
  }

  status(): Promise<JobStatus> {
    return this.#http.status(this.id);
  }

  watch({ signal }: { signal?: AbortSignal } = {}): AsyncIterable<JobStatus> {
    return this.#http.changes(this.id, signal);
  }

  result(options: WaitOptions = {}): Promise<R> {
    return within(
      options,
      () => this.id,
      async (signal) => (await this.#http.result(this.id, signal)) as R,
    );
  }

  async cancel(): Promise<void> {
    await this.#http.send('POST', `/jobs/${this.id}/cancel`);
  }
}

const tries = 6;
const firstPauseMs = 200;
const waitSeconds = 20;

/** Sends again what had no answer. */
export class Http {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ url, headers = {} }: HttpOptions) {
    this.#base = `${url.replace(/\/+$/, '')}/api`;
    this.#headers = headers;
  }

  /** Sent again when no answer comes: its key makes it one job. */
  async submit({ type, input, options = {} }: JobRequest, signal?: AbortSignal) {
    const { startBefore, ...rest } = options;
    const body = { type, input, ...rest, ...(startBefore ? { expiresIn: startBefore } : {}) };
    const headers = { 'idempotency-key': randomUUID() };
    return (await this.send('POST', '/jobs', { body, headers, signal })) as JobStatus;
  }

  async status(id: string): Promise<JobStatus> {
    return (await this.send('GET', `/jobs/${id}`)) as JobStatus;
  }

  async *changes(id: string, signal: AbortSignal | undefined): AsyncGenerator<JobStatus> {
    let etag: string | undefined;
    for (;;) {
      const headers = etag ? { prefer: `wait=${waitSeconds}`, 'if-none-match': etag } : {};
      const answer = await this.#fetch('GET', `/jobs/${id}`, { headers, signal });
      etag = answer.etag;
      if (answer.status === 304) continue;
      const status = answer.body as JobStatus;
      yield status;
      if (hasEnded(status.state)) return;
    }
  }

  /** Waits for the end. @throws JobFailedError */
  async result(id: string, signal: AbortSignal): Promise<unknown> {
    for await (const { state, result, error } of this.changes(id, signal)) {
      if (!hasEnded(state)) continue;
      if (state !== 'succeeded') throw new JobFailedError(id, state, error);
      return result === undefined ? this.send('GET', `/jobs/${id}/result`, { signal }) : result;
    }
    throw new UnreachableError(`Job '${id}'`, { cause: new Error('it is no longer told of') });
  }

  async send(method: string, path: string, more: Sending = {}): Promise<unknown> {
    return (await this.#fetch(method, path, more)).body;
  }

  async #fetch(method: string, path: string, { body, headers, signal }: Sending): Promise<Answer> {
    for (let n = 1; ; n++) {
      try {
        const response = await fetch(`${this.#base}${path}`, {
          method,
          headers: {
            ...this.#headers,
            ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
            ...headers,
          },
          ...(method === 'POST' ? { body: JSON.stringify(body ?? {}) } : {}),
          ...(signal ? { signal } : {}),
        });
        if (response.ok || response.status === 304) return await answerOf(response);
        if (response.status < 500) throw await refusalOf(response);
        if (n >= tries) throw new Error(`it answers ${response.status}`);
      } catch (error) {
        if (error instanceof RequestRefusedError || signal?.aborted) throw error;
        if (n >= tries) throw new UnreachableError(this.#base, { cause: error });
      }
      await pause(firstPauseMs * 2 ** (n - 1), undefined, signal ? { signal } : {});
    }
  }
}

interface Answer {
  status: number;
  etag: string | undefined;
  body: unknown;
}

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response;
  const body = status === 304 ? undefined : ((await response.json()) as unknown);
  return { status, etag: headers.get('etag') ?? undefined, body };
}

interface Sending {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

async function refusalOf(response: Response): Promise<RequestRefusedError> {
  const text = await response.text();
  try {
    const { code, detail, ...more } = JSON.parse(text) as { code: string; detail: string };
    return new RequestRefusedError(response.status, code, detail, more);
  } catch {
    return new RequestRefusedError(response.status, 'refused', text.slice(0, 500), {});
  }
}
