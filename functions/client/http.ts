/** Jobs of another app, over HTTP. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { JobRequest, RequestOptions } from '../define-job.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded, type State } from '../model/job-record.ts';
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
  functionsOf,
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
  const http = new Http(options);
  const submit = async (typeOrRequest: string | JobRequest, input?: unknown, more?: object) => {
    const { request } = toRequest(typeOrRequest, input, more);
    return handleOf(http, (await http.submit(request)).id);
  };
  const call = async (typeOrRequest: string | JobRequest, input?: unknown, more?: CallOptions) => {
    const { request, options: how } = toRequest(typeOrRequest, input, more);
    const { id } = await http.submit(request, how.signal);
    const { timeout = '1m', signal } = how;
    return handleOf(http, id).result({ timeout, ...(signal ? { signal } : {}) });
  };
  const client = {
    submit,
    call,
    job: (id: string) => handleOf(http, id),
    functions: (prefix: string) => functionsOf(call, prefix),
  };
  return client as unknown as HttpClient<C>;
}

function handleOf(http: Http, id: string): JobHandle<unknown> {
  const handle: JobHandle<unknown> = {
    id,
    status: () => http.status(id),
    async *watch({ signal } = {}) {
      for await (const status of http.changes(id, signal)) yield status;
    },
    async result({ timeout, signal: given } = {}) {
      const late = timeout === undefined ? undefined : AbortSignal.timeout(toMs(timeout));
      const signals = [late, given].filter((one) => one !== undefined);
      try {
        for await (const status of http.changes(id, AbortSignal.any(signals)))
          if (hasEnded(status.state)) return await http.resultOf(status);
      } catch (error) {
        if (late?.aborted && !given?.aborted)
          throw new CallTimeoutError(id, { timeout: timeout ?? '', cause: error });
        given?.throwIfAborted();
        throw error;
      }
      throw new UnreachableError(`Job '${id}'`, { cause: new Error('it is no longer told of') });
    },
    cancel: async () => void (await http.send('POST', `/jobs/${id}/cancel`)),
  };
  return handle;
}

const tries = 6;
const firstPauseMs = 200;
const waitSeconds = 20;

class Http {
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
      const response = await this.#fetch('GET', `/jobs/${id}`, {
        headers: etag ? { prefer: `wait=${waitSeconds}`, 'if-none-match': etag } : {},
        signal,
      });
      etag = response.headers.get('etag') ?? undefined;
      if (response.status === 304) continue;
      const status = (await response.json()) as JobStatus;
      yield status;
      if (hasEnded(status.state)) return;
    }
  }

  /** @throws JobFailedError */
  async resultOf({ id, state, result, error }: JobStatus): Promise<unknown> {
    if (state !== 'succeeded') throw new JobFailedError(id, state, error);
    return result === undefined ? this.send('GET', `/jobs/${id}/result`) : result;
  }

  async send(method: string, path: string, more: Sending = {}): Promise<unknown> {
    return (await this.#fetch(method, path, more)).json();
  }

  async #fetch(method: string, path: string, { body, headers, signal }: Sending) {
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
        if (response.ok || response.status === 304) return response;
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
