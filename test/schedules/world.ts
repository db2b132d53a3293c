/**
 * Schedulers on ports in memory, in a world where any call to the outside may be the last of its process,
 * may fail with and without having been done, may take long, and where clocks differ. The jobs that they
 * send are run by the world: each lasts as long as its input says.
 */

import { z } from 'zod';
import { SessionAllocator } from '#longhaul/admit/key.js';
import { JobTypes } from '#longhaul/define/catalogue.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { ConflictError } from '#longhaul/errors.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import { type EndState, hasEnded, type JobRecord } from '#longhaul/model/job-record.js';
import type { OutgoingMessage } from '#longhaul/model/message.js';
import type { Schedule } from '#longhaul/model/schedule.js';
import type { Stored } from '#longhaul/ports.js';
import type { Scheduling } from '#longhaul/schedules/apply.js';
import { runEnded, tick } from '#longhaul/schedules/tick.js';
import { ScheduleStore } from '#longhaul/testing/schedules.js';

export type Trouble =
  | 'none'
  | 'dies before'
  | 'dies after'
  | 'fails before'
  /** It is done, and nobody learns of it. */
  | 'fails after'
  /** The write is done, and the second try of the SDK finds another version. */
  | 'answer lost'
  | 'slow'
  | 'another looks'
  | 'somebody acts';

export const lasting = defineJob({
  type: 'lasting',
  input: z.object({ ms: z.number(), fails: z.boolean().default(false) }),
  timeout: '1m',
  attempts: 1,
  run: async () => ({}),
});

const topology = {
  lanes: [{ name: 'standard', plain: 'standard', keyed: 'keyed', maxTimeout: '10m' as const }],
  ...{ completions: 'completions', replies: [], inbox: 'inbox', queues: [] },
};

/** Schedules, and what was written of them. */
class WatchedSchedules extends ScheduleStore {
  #changes: { id: string; schedule: Schedule | undefined }[] = [];

  protected override changed(id: string, schedule: Schedule | undefined): void {
    this.#changes.push({ id, schedule });
  }

  /** What has been written and removed since it was asked last. */
  takeChanges(): { id: string; schedule: Schedule | undefined }[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }
}

/** A job that the bus took. */
export interface Run {
  id: string;
  schedule: string;
  /** The due time, or when it was asked for by hand. */
  due: number;
  sentAt: number;
  runAt: number;
  starts: number;
  startedAt?: number;
  endedAt?: number;
  state?: EndState;
}

/** A version of a schedule that was written; undefined when it was removed. */
export interface Version {
  at: number;
  /** By the clock of who wrote. */
  by: number;
  id: string;
  schedule: Schedule | undefined;
}

export type Answer<T> = { ok: T } | { error: Error } | { unknown: true };

interface Event {
  at: number;
  order: number;
  run(): Promise<void>;
}

function firstOf(events: readonly Event[]): Event | undefined {
  let first = events[0];
  for (const one of events)
    if (first && (one.at < first.at || (one.at === first.at && one.order < first.order)))
      first = one;
  return first;
}

interface Hands {
  skew: number;
  dead: boolean;
  die(): void;
}

export const lookEveryMs = 15_000;
const rememberedMs = 3_600_000;
const slowMs = 9_000;

export class Schedulers {
  now = Date.parse('2026-11-21T12:00:00Z');
  readonly began = this.now;
  readonly runs = new Map<string, Run>();
  readonly versions: Version[] = [];
  readonly schedules = new WatchedSchedules();
  readonly types: JobTypes;
  /** What somebody does when the world says so. */
  readonly acts: (() => Promise<void>)[] = [];
  trouble: () => Trouble = () => 'none';
  /** How long after its end each completion comes; undefined never. */
  toldAfter: () => number | undefined = () => 100;
  /** Of who looks beside the one who looks. */
  skewOfOther = 0;
  workerSkew = 0;
  readonly #records = new Map<string, Stored>();
  readonly #notes = new Map<string, string>();
  readonly #seen = new Map<string, number>();
  readonly #events: Event[] = [];
  #made = 0;
  #depth = 0;

  constructor(types: readonly ReturnType<typeof defineJob>[] = [lasting]) {
    this.types = new JobTypes(types as never, topology);
  }

  at(at: number, run: () => Promise<void>): void {
    this.#events.push({ at, order: this.#made++, run });
  }

  /** Lets things happen up to then. */
  async until(end: number): Promise<void> {
    for (;;) {
      const next = firstOf(this.#events);
      if (!next || next.at > end) break;
      this.#events.splice(this.#events.indexOf(next), 1);
      this.now = Math.max(this.now, next.at);
      await next.run();
    }
    this.now = Math.max(this.now, end);
  }

  /** Looks every fifteen seconds from then on, as long as `isOn` says so. */
  lookFrom(at: number, skew: () => number, isOn: (now: number) => boolean): void {
    this.at(at, async () => {
      this.lookFrom(at + lookEveryMs, skew, isOn);
      if (isOn(at)) await this.do(skew(), (app) => tick(app));
    });
  }

  /** What somebody does, by a clock that is `skew` off; it may die in the middle of it. */
  async do<T>(skew: number, act: (app: Scheduling) => Promise<T>): Promise<Answer<T>> {
    let die: () => void = () => undefined;
    const died = new Promise<{ unknown: true }>((resolve) => {
      die = () => resolve({ unknown: true });
    });
    const hands: Hands = {
      skew,
      dead: false,
      die() {
        hands.dead = true;
        die();
      },
    };
    const done = act(this.app(hands)).then(
      (ok) => ({ ok }),
      (error: Error) => ({ error }),
    );
    return Promise.race([done, died]);
  }

  record(id: string): JobRecord | undefined {
    return this.#records.get(id)?.record;
  }

  keep(record: JobRecord): void {
    this.#records.set(record.id, { record, etag: String(++this.#made) });
  }

  /** Without `hands` nothing happens to it. */
  app(hands?: Hands): Scheduling {
    const call = <T>(act: () => T): Promise<T> => this.#called(hands, act);
    const notes = this.#notes;
    const unused = () => Promise.reject(new Error('not used'));
    return {
      types: this.types,
      topology,
      clock: { now: () => new Date(this.now + (hands?.skew ?? 0)), after: () => () => undefined },
      log: () => undefined,
      records: {
        read: (id) => call(() => structuredClone(this.#records.get(id))),
        readMany: unused,
        write: (record, etag) =>
          call(() => {
            if (this.#records.get(record.id)?.etag !== etag) throw new ConflictError(record.id);
            this.keep(structuredClone(record));
            return { record, etag: this.#records.get(record.id)?.etag };
          }),
        list: unused,
      },
      removal: {
        expired: async () => [],
        remove: async () => undefined,
        removed: async () => undefined,
        forget: async () => undefined,
      },
      notes: {
        read: (kind, name) => call(() => notes.get(`${kind} ${name}`)),
        write: (kind, name, value) => call(() => void notes.set(`${kind} ${name}`, value)),
        claim: (kind, name, value) =>
          call(() => {
            const standing = notes.get(`${kind} ${name}`) ?? value;
            notes.set(`${kind} ${name}`, standing);
            return standing;
          }),
        replace: async () => false,
        remove: async () => undefined,
        list: async () => [],
        after: async () => [],
      },
      schedules: this.schedules.port(call),
      blobs: {
        write: unused,
        read: unused,
        remove: unused,
        removeAll: unused,
        readInbox: unused,
      } as never,
      queue: {
        send: (message) => call(() => this.#take(message)),
        peekDeadLetters: async () => [],
        openDeadLetters: unused as never,
        peek: async () => [],
      },
      newId: (at) => idOfOccurrence(`by hand ${++this.#made}`, at),
      slots: new SessionAllocator(() => 0.5),
      notify: () => undefined,
      checkCallback: () => undefined,
    };
  }

  async #called<T>(hands: Hands | undefined, act: () => T): Promise<T> {
    await Promise.resolve();
    if (!hands) return this.#noted(act, 0).result;
    if (hands.dead) return new Promise<never>(() => undefined);
    const trouble = this.trouble();
    if (trouble === 'dies before') return this.#die(hands);
    if (trouble === 'fails before') throw new Error('out of reach');
    await this.#meanwhile(trouble);
    const { result, wrote } = this.#noted(act, hands.skew);
    if (trouble === 'dies after') return this.#die(hands);
    if (trouble === 'fails after') throw new Error('no answer');
    if (trouble === 'answer lost' && wrote) throw new ConflictError('x');
    return result;
  }

  /** Notes each version that came to be, whoever learned of it. */
  #noted<T>(act: () => T, skew: number): { result: T; wrote: boolean } {
    const result = act();
    const changes = this.schedules.takeChanges();
    for (const version of changes)
      this.versions.push({ at: this.now, by: this.now + skew, ...version });
    return { result, wrote: changes.length > 0 };
  }

  async #meanwhile(trouble: Trouble): Promise<void> {
    if (this.#depth > 1) return;
    this.#depth++;
    if (trouble === 'slow') await this.until(this.now + slowMs);
    if (trouble === 'another looks') await this.do(this.skewOfOther, (app) => tick(app));
    if (trouble === 'somebody acts') await this.acts.shift()?.();
    this.#depth--;
  }

  #die(hands: Hands): Promise<never> {
    hands.die();
    return new Promise<never>(() => undefined);
  }

  #take(message: OutgoingMessage): void {
    const { messageId: id, properties, at, body } = message;
    const seen = this.#seen.get(id);
    if (seen !== undefined && seen + rememberedMs > this.now) return;
    this.#seen.set(id, this.now);
    const runAt = Math.max(this.now, at?.getTime() ?? 0);
    const run: Run = this.runs.get(id) ?? {
      ...{ id, schedule: String(properties['schedule']), sentAt: this.now, runAt, starts: 0 },
      due: Date.parse(String(properties['scheduledFor'])),
    };
    this.runs.set(id, run);
    const input = JSON.parse(body.toString('utf8')) as { ms: number; fails?: boolean };
    this.at(runAt, () => this.#start(run, message, input));
  }

  async #start(
    run: Run,
    { properties }: OutgoingMessage,
    { ms, fails }: { ms: number; fails?: boolean },
  ): Promise<void> {
    const known = this.record(run.id);
    if (known && hasEnded(known.state)) return;
    run.starts++;
    run.startedAt = this.now;
    const told = { schedule: run.schedule, scheduledFor: String(properties['scheduledFor']) };
    const createdAt = new Date(this.now).toISOString();
    const record: JobRecord = known ?? {
      ...{ id: run.id, type: 'lasting', lane: 'standard', queue: 'standard' },
      ...{ createdAt, attempt: 1, turn: 1, ...told, state: 'queued' },
    };
    this.keep({ ...record, state: 'running' });
    this.at(this.now + ms, async () => {
      run.endedAt = this.now;
      run.state = fails ? 'failed' : 'succeeded';
      const finishedAt = new Date(this.now + this.workerSkew).toISOString();
      this.keep({ ...record, state: run.state, finishedAt, keepUntil: finishedAt } as JobRecord);
      const after = this.toldAfter();
      if (after !== undefined) this.at(this.now + after, () => this.#tell(run, finishedAt));
    });
  }

  /** Until it is taken: what is not answered is delivered again. */
  async #tell(run: Run, finishedAt: string): Promise<void> {
    const { id, schedule, state = 'succeeded' } = run;
    const told = await this.do(0, (app) =>
      runEnded(app, schedule, id, state, new Date(finishedAt)),
    );
    if (!('ok' in told)) this.at(this.now + 1_000, () => this.#tell(run, finishedAt));
  }
}
