/** One job of an app in memory, as a test handles it. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { retry } from '../admit/retry.ts';
import { JobFailedError } from '../client/errors.ts';
import type { Duration, Events } from '../define/define-job.ts';
import { toStatus } from '../http/status.ts';
import { toMs } from '../model/duration.ts';
import { fromErrorRecord } from '../model/error-record.ts';
import { type EndState, hasEnded, type JobRecord, type State } from '../model/job-record.ts';
import { fileBlob } from '../model/names.ts';
import { loadJson } from '../record/claim-check.ts';
import { cancel } from '../wait/cancel.ts';
import { tellEvent } from '../wait/tell-event.ts';
import { backoffEnd, explain, holdsOf } from './holds.ts';
import type { MemoryApp } from './memory-app.ts';

export type Status = ReturnType<typeof toStatus>;
/** A reply as its requester gets it: a CloudEvent. */
export interface Reply {
  id: string;
  type: `longhaul.job.${EndState}`;
  /** The job's id. */
  subject: string;
  time: string;
  data: {
    id: string;
    type: string;
    state: EndState;
    attempt: number;
    result?: unknown;
    /** In place of a result that is too large for a message. */
    resultUrl?: string;
    error?: { name: string; message: string; code?: string };
  };
}

export interface KeptFile {
  content: Buffer;
  contentType: string;
  text: string;
}

export class TestRun<R = unknown, E extends Events = Events> {
  readonly #app: MemoryApp;
  /** Until the job is accepted, which another may stand for. */
  readonly #accepted: Promise<string>;
  #id: string;

  constructor(app: MemoryApp, id: string, accepted: Promise<string>) {
    this.#app = app;
    this.#id = id;
    this.#accepted = accepted.then((known) => {
      this.#id = known;
      return known;
    });
    // A request that is refused is told by the first call.
    this.#accepted.catch(() => undefined);
  }

  get id(): string {
    return this.#id;
  }

  get #record(): JobRecord {
    const record = this.#app.record(this.#id);
    if (record) return record;
    throw new Error(`Job ${this.#id} is not accepted yet: await run.until(…) first.`);
  }

  /** As the API shows it, which says `running` two seconds after the handler began; here it is at once. */
  get state(): State {
    const { state } = this.status;
    return state === 'queued' && this.#isAtWork ? 'running' : state;
  }

  get #isAtWork(): boolean {
    return this.#app.atWork.some(({ job }) => job === this.#id);
  }

  /** What `GET /api/jobs/{id}` answers. */
  get status(): Status {
    return toStatus(this.#record, new Date(this.#app.clock.now));
  }

  get progress(): Status['progress'] {
    return this.status.progress;
  }

  /** The attempt that runs or ran last, from 1. */
  get attempt(): number {
    return this.#record.attempt;
  }

  /** Names of the steps that were undone, in their order. */
  get undone(): string[] {
    return (this.#record.undone ?? []).flatMap(({ step, error }) => (error ? [] : [step]));
  }

  /** The lines of the app's log about this job: `job.log`, attempts that failed. */
  get logs(): string[] {
    const own = `job ${this.#id}: `;
    return this.#app.lines
      .filter(({ job }) => job === this.#id)
      .map(({ message }) => (message.startsWith(own) ? message.slice(own.length) : message));
  }

  /** What `job.files.write` has kept, by name. */
  get files(): Readonly<Record<string, KeptFile>> {
    const folder = fileBlob(this.#id, '');
    const { blobs, contentTypes } = this.#app.stores;
    const found = [...blobs].flatMap(([name, content]) => {
      if (!name.startsWith(folder)) return [];
      const contentType = contentTypes.get(name) ?? '';
      const file = { content, contentType, text: content.toString('utf8') };
      return [[decodeURIComponent(name.slice(folder.length)), file] as const];
    });
    return Object.fromEntries(found);
  }

  /** What was sent to who asked for the job. */
  get replies(): Reply[] {
    return this.#app.api.topology.replies
      .flatMap((queue) => this.#app.bus.all(queue))
      .filter(({ subject }) => subject === this.#id)
      .map(({ body }) => JSON.parse(body.toString('utf8')) as Reply);
  }

  /** The jobs that it sent out, the oldest first; of one type, if given. */
  children(type?: string): TestRun[] {
    return this.#app.records
      .filter((one) => one.parent === this.#id && (type === undefined || one.type === type))
      .sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
      .map(({ id }) => new TestRun(this.#app, id, Promise.resolve(id)));
  }

  /**
   * Lets the job go as far as it gets: to the end, or to something that it waits for. Pauses before
   * another attempt are passed over, unless `queued` is asked for; no other time is.
   * @throws Error that says what the job does instead
   */
  async until(state: State): Promise<void> {
    await this.#accepted;
    await this.#app.inTurn(async () => {
      const isRunning = () => state === 'running' && this.#isAtWork;
      const stays = state === 'queued' || state === 'scheduled';
      for (;;) {
        await this.#app.rest(isRunning);
        if (isRunning()) for (const one of this.#app.atWork) one.wasSeen ||= one.job === this.#id;
        if (this.state === state) return;
        if (!stays && (await this.#passBackoff(isRunning))) continue;
        throw new Error(`${this.#explain()} It was to be ${state}.`);
      }
    });
  }

  /** Tells it an event, as `POST /api/jobs/{id}/events/{name}` does. It hears of it at the next call. */
  async event<N extends keyof E & string>(
    name: N,
    payload: StandardSchemaV1.InferInput<E[N]>,
  ): Promise<void> {
    await tellEvent(this.#app.api, await this.#accepted, name, payload);
  }

  /**
   * As `POST /api/jobs/{id}/cancel` does: what waits hears of it at the next call, what runs within two
   * seconds, skipped or real.
   */
  async cancel(): Promise<void> {
    await cancel(this.#app.api, await this.#accepted);
  }

  /** Starts a failed job again, as `POST /api/jobs/{id}/retry` does. */
  async retry(): Promise<void> {
    await retry(this.#app.api, await this.#accepted);
  }

  /**
   * Lets so much time pass, and all that comes due meanwhile happen in its order. A handler that is
   * under way ends first, unless `until('running')` was asked for: then it runs meanwhile, and may run
   * into its timeout.
   */
  async skip(duration: Duration): Promise<void> {
    await this.#accepted;
    await this.#app.inTurn(() => this.#app.skip(toMs(duration)));
  }

  /**
   * The process that works on it dies: at its next call to storage or bus, or now if it is between two.
   * Another takes what it had in hand. JavaScript cannot be stopped: what a dead handler has under way
   * for real goes on, up to its next call of `job`, which never returns.
   */
  crash(): void {
    this.#app.crash();
  }

  /**
   * Its result, once it has run to its end. Pauses before another attempt are passed over; for anything
   * else that it waits for the test has to see to: an Error says so.
   * @throws JobFailedError when it failed, was cancelled or expired, with the job's error as its cause
   */
  get result(): Promise<R> {
    return this.#result();
  }

  async #result(): Promise<R> {
    await this.#accepted;
    await this.#app.inTurn(async () => {
      for (;;) {
        await this.#app.rest();
        if (hasEnded(this.#record.state)) return;
        if (!(await this.#passBackoff())) throw new Error(this.#explain());
      }
    });
    const { id, state, result, error } = this.#record;
    if (result) return JSON.parse(await loadJson(this.#app.api.blobs, result)) as R;
    const failed = new JobFailedError(id, state, error);
    if (error) failed.cause = fromErrorRecord(error, false);
    throw failed;
  }

  get #holds() {
    return holdsOf(this.#record, this.#app.records, new Date(this.#app.clock.now));
  }

  async #passBackoff(enough?: () => boolean): Promise<boolean> {
    const end = hasEnded(this.#record.state) ? undefined : backoffEnd(this.#holds);
    if (!end) return false;
    await this.#app.skip(Math.max(0, end.getTime() - this.#app.clock.now), enough);
    return true;
  }

  #explain(): string {
    return explain(this.#record, this.#holds);
  }
}
