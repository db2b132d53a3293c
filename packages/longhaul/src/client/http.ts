/** Jobs of another app, over HTTP. */
import type { JobRequest, RequestOptions } from '../define/define-job.ts';
import { LonghaulError } from '../errors.ts';
import { timeoutSignal } from '../long-timer.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded, type State } from '../model/job-record.ts';
import { JobCaller } from './caller.ts';
import { DeadLettersClient } from './dead-letters.ts';
import { CallTimeoutError, JobFailedError, UnreachableError } from './errors.ts';
import { PausesClient } from './pauses.ts';
import { SchedulesClient } from './schedules.ts';
import type { Action, FailureGroup, LaneStatus, Why, WorkerStatus } from './state.ts';
import { Http, type HttpOptions, queryOf, type StreamedEvent } from './transport.ts';
import {
  type AnyType,
  type BatchAnswer,
  type Caller,
  type CallOptions,
  type InputOf,
  type JobStatus,
  type LogPage,
  type NamesOf,
  type ResultOf,
  type Timeline,
  toRequest,
  type WaitOptions,
} from './types.ts';

export type { DeadLetter, LetterFilter, RedriveOptions } from './dead-letters.ts';
export type { PauseOptions, PauseStatus } from './pauses.ts';
export type { Action, FailureGroup, LaneStatus, Why, WorkerStatus } from './state.ts';
export type { HttpOptions } from './transport.ts';
export type { JobStatus, LogPage, Span, Timeline } from './types.ts';

export interface JobHandle<R> {
  readonly id: string;
  status(): Promise<JobStatus>;
  /** Why it is not further than it is. */
  why(): Promise<Why>;
  /** Each change of the status, the end last. */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<JobStatus>;
  /** @throws JobFailedError, CallTimeoutError */
  result(options?: WaitOptions): Promise<R>;
  /** What it did when, as a tree of spans. */
  timeline(): Promise<Timeline>;
  /** What it logged. Asked again with the `after` of the page before, it tells what came since. */
  log(page?: { after?: number; limit?: number }): Promise<LogPage>;
  /** What it was given, without what its type hides. */
  input(): Promise<unknown>;
  /** What the API's stream of server-sent events tells of it, until its end. */
  events(options?: { signal?: AbortSignal }): AsyncIterable<StreamedEvent>;
  cancel(): Promise<void>;
  /** Removes one that has ended, with all that was kept for it. */
  remove(): Promise<void>;
  /** Starts a failed job again, from its checkpoint. */
  retry(): Promise<void>;
  /** Tells it what it waits for, or will. */
  tell(event: string, payload?: unknown): Promise<void>;
  /** One of its files, as a response to be read. */
  file(name: string): Promise<Response>;
}

export interface JobFilter {
  type?: string;
  state?: State;
  key?: string;
  parent?: string;
  schedule?: string;
  /** Submitted from this time on, and before that one. */
  from?: string;
  to?: string;
  /** In the error's name or message. */
  error?: string;
  /** In the id. */
  id?: string;
  requestedBy?: string;
  tag?: string;
  /** 1 to 1000, default 100. */
  limit?: number;
  /** Of the page before; a page may be empty and not the last. */
  cursor?: string;
}

/** As `GET /job-types` tells it, with the JSON Schema of its input. */
export interface JobTypeDescription {
  readonly type: string;
  readonly lane: string;
  readonly [more: string]: unknown;
}

export interface HttpClient<C extends readonly AnyType[]> extends Caller<C> {
  submit<N extends NamesOf<C>>(
    type: N,
    input: InputOf<C, N>,
    options?: RequestOptions,
  ): Promise<JobHandle<ResultOf<C, N>>>;
  submit<R>(request: JobRequest<R>): Promise<JobHandle<R>>;
  /** Up to 10,000, each accepted or refused by itself. */
  submitMany(requests: readonly JobRequest[]): Promise<BatchAnswer>;
  job<R = unknown>(id: string): JobHandle<R>;
  /** Newest first. */
  list(filter?: JobFilter): Promise<{ jobs: JobStatus[]; cursor?: string }>;
  types(): Promise<JobTypeDescription[]>;
  /** Does it to all jobs that are meant: the job that says how far it is, and can be cancelled. */
  act(action: Action): Promise<JobStatus>;
  /** How many are meant. */
  count(action: Action): Promise<{ count: number; isWhole: boolean }>;
  /** What lies in each lane, and who serves it. */
  queues(): Promise<LaneStatus[]>;
  /** Failed jobs by type, error and line, the most frequent first. */
  errors(filter?: { type?: string; from?: string; to?: string }): Promise<FailureGroup[]>;
  /** The worker processes that were heard of lately. */
  workers(): Promise<WorkerStatus[]>;
  /** The ends of the jobs that somebody asked for, as they come. */
  ends(requestedBy: string, options?: { signal?: AbortSignal }): AsyncIterable<StreamedEvent>;
  readonly schedules: SchedulesClient;
  readonly pauses: PausesClient;
  readonly deadLetters: DeadLettersClient;
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
  readonly schedules: SchedulesClient;
  readonly pauses: PausesClient;
  readonly deadLetters: DeadLettersClient;

  constructor(http: Http) {
    super((request, options) => {
      let id: string | undefined;
      return within(
        { timeout: '1m', ...options },
        () => id,
        async (signal) => {
          id = (await submit(http, request, signal)).id;
          return resultOf(http, id, signal);
        },
      );
    });
    this.#http = http;
    this.schedules = new SchedulesClient(http);
    this.pauses = new PausesClient(http);
    this.deadLetters = new DeadLettersClient(http);
  }

  submit<N extends NamesOf<C>>(
    type: N,
    input: InputOf<C, N>,
    options?: RequestOptions,
  ): Promise<JobHandle<ResultOf<C, N>>>;
  submit<R>(request: JobRequest<R>): Promise<JobHandle<R>>;
  async submit(typeOrRequest: string | JobRequest, input?: unknown, more?: RequestOptions) {
    const { request } = toRequest(typeOrRequest, input, more);
    return new Handle<never>(this.#http, (await submit(this.#http, request)).id);
  }

  async submitMany(requests: readonly JobRequest[]): Promise<BatchAnswer> {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const body = requests.map(bodyOf);
    return (await this.#http.json('POST', '/jobs/batch', { body, headers })) as BatchAnswer;
  }

  job<R = unknown>(id: string): JobHandle<R> {
    return new Handle<R>(this.#http, id);
  }

  async list(filter: JobFilter = {}) {
    return (await this.#http.json('GET', `/jobs${queryOf(filter)}`)) as {
      jobs: JobStatus[];
      cursor?: string;
    };
  }

  async queues(): Promise<LaneStatus[]> {
    return ((await this.#http.json('GET', '/queues')) as { lanes: LaneStatus[] }).lanes;
  }

  async errors(
    filter: { type?: string; from?: string; to?: string } = {},
  ): Promise<FailureGroup[]> {
    const path = `/errors${queryOf(filter)}`;
    return ((await this.#http.json('GET', path)) as { groups: FailureGroup[] }).groups;
  }

  async workers(): Promise<WorkerStatus[]> {
    return ((await this.#http.json('GET', '/workers')) as { workers: WorkerStatus[] }).workers;
  }

  async act(body: Action): Promise<JobStatus> {
    return (await this.#http.json('POST', '/actions', { body, once: true })) as JobStatus;
  }

  async count(action: Action): Promise<{ count: number; isWhole: boolean }> {
    const body = { ...action, dryRun: true };
    return (await this.#http.json('POST', '/actions', { body })) as {
      count: number;
      isWhole: boolean;
    };
  }

  async types(): Promise<JobTypeDescription[]> {
    return (await this.#http.json('GET', '/job-types')) as JobTypeDescription[];
  }

  ends(requestedBy: string, { signal }: { signal?: AbortSignal } = {}) {
    return this.#http.events(`/events${queryOf({ requestedBy })}`, signal);
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
    return statusOf(this.#http, this.id);
  }

  async why(): Promise<Why> {
    return (await this.#http.json('GET', `${pathOf(this.id)}/why`)) as Why;
  }

  watch({ signal }: { signal?: AbortSignal } = {}): AsyncIterable<JobStatus> {
    return changesOf(this.#http, this.id, signal);
  }

  result(options: WaitOptions = {}): Promise<R> {
    return within(
      options,
      () => this.id,
      async (signal) => (await resultOf(this.#http, this.id, signal)) as R,
    );
  }

  events({ signal }: { signal?: AbortSignal } = {}): AsyncIterable<StreamedEvent> {
    return this.#http.events(`${pathOf(this.id)}/events`, signal);
  }

  async remove(): Promise<void> {
    await this.#http.json('DELETE', pathOf(this.id));
  }

  async timeline(): Promise<Timeline> {
    return (await this.#http.json('GET', `${pathOf(this.id)}/timeline`)) as Timeline;
  }

  async log(page: { after?: number; limit?: number } = {}): Promise<LogPage> {
    return (await this.#http.json('GET', `${pathOf(this.id)}/log${queryOf(page)}`)) as LogPage;
  }

  input(): Promise<unknown> {
    return this.#http.json('GET', `${pathOf(this.id)}/input`);
  }

  async cancel(): Promise<void> {
    await this.#http.send('POST', `${pathOf(this.id)}/cancel`);
  }

  async retry(): Promise<void> {
    await this.#http.send('POST', `${pathOf(this.id)}/retry`, { once: true });
  }

  async tell(event: string, payload: unknown = {}): Promise<void> {
    const path = `${pathOf(this.id)}/events/${encodeURIComponent(event)}`;
    await this.#http.send('POST', path, { body: payload, once: true });
  }

  file(name: string): Promise<Response> {
    return this.#http.send('GET', `${pathOf(this.id)}/files/${encodeURIComponent(name)}`);
  }
}

const waitSeconds = 20;
const pathOf = (id: string): string => `/jobs/${encodeURIComponent(id)}`;

function bodyOf({ type, input, options = {} }: JobRequest) {
  const { startBefore, ...rest } = options;
  return { type, input, ...rest, ...(startBefore ? { expiresIn: startBefore } : {}) };
}

/** Sent again when no answer comes: its key makes it one job. */
async function submit(http: Http, request: JobRequest, signal?: AbortSignal): Promise<JobStatus> {
  const headers = { 'idempotency-key': crypto.randomUUID() };
  return (await http.json('POST', '/jobs', {
    body: bodyOf(request),
    headers,
    signal,
  })) as JobStatus;
}

const statusOf = async (http: Http, id: string): Promise<JobStatus> =>
  (await http.json('GET', pathOf(id))) as JobStatus;

async function* changesOf(
  http: Http,
  id: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobStatus> {
  let etag: string | null = null;
  for (;;) {
    const headers: Record<string, string> = etag
      ? { prefer: `wait=${waitSeconds}`, 'if-none-match': etag }
      : {};
    const answer = await http.send('GET', pathOf(id), { headers, signal });
    etag = answer.headers.get('etag');
    if (answer.status === 304) continue;
    const status = (await answer.json()) as JobStatus;
    yield status;
    if (hasEnded(status.state)) return;
  }
}

/** Waits for the end. @throws JobFailedError */
async function resultOf(http: Http, id: string, signal: AbortSignal): Promise<unknown> {
  for await (const { state, result, error } of changesOf(http, id, signal)) {
    if (!hasEnded(state)) continue;
    if (state !== 'succeeded') throw new JobFailedError(id, state, error);
    return result === undefined ? http.json('GET', `${pathOf(id)}/result`, { signal }) : result;
  }
  throw new UnreachableError(`Job '${id}'`, { cause: new Error('it is no longer told of') });
}
