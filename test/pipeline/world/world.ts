/**
 * The pipeline on ports in memory, in a world where any call to storage or bus may be the last of its
 * worker, where locks get lost, and where people cancel and send events at the worst moment.
 */
import type { Catalogue } from '../../../functions/define-job.ts';
import { ConflictError } from '../../../functions/errors.ts';
import { idOfOccurrence } from '../../../functions/model/id.ts';
import { hasEnded, type JobRecord, type Kept } from '../../../functions/model/job-record.ts';
import type { Working } from '../../../functions/pipeline/attempt.ts';
import { JobTypes } from '../../../functions/pipeline/catalogue.ts';
import { execute } from '../../../functions/pipeline/execute.ts';
import { Gate } from '../../../functions/pipeline/gate.ts';
import { Slots } from '../../../functions/pipeline/key.ts';
import { takeCompletions } from '../../../functions/pipeline/news.ts';
import type {
  Blobs,
  Notes,
  Queue,
  Records,
  Removal,
  Stored,
} from '../../../functions/pipeline/ports.ts';
import { SessionTurns } from '../../../functions/pipeline/session-turns.ts';
import { tick } from '../../../functions/schedules/tick.ts';
import { ScheduleStore } from '../../support/schedules.ts';
import { Bus, type Lying, toIncoming } from './bus.ts';

/** What happens at one call of a worker to the outside. */
export type Trouble =
  | 'none'
  | 'dies before'
  | 'dies after'
  | 'loses its lock'
  /** The write is done, and its second try finds another version. */
  | 'answer lost'
  | 'somebody acts'
  /** Another worker takes something else and does it to the end. */
  | 'another works';

const completions = 'completions';
const topology = {
  lanes: [
    { name: 'standard', plain: 'standard', keyed: 'standard-keyed', maxTimeout: '10m' as const },
  ],
  completions,
  replies: ['replies'],
  inbox: 'inbox',
  queues: [],
};

const isStored = (result: unknown): boolean =>
  typeof result === 'object' && result !== null && 'etag' in result && 'written' in result;

const nothingExpires: Removal = {
  expired: async () => [],
  remove: async () => undefined,
  removedAt: async () => undefined,
  forget: async () => undefined,
};

// Later than it should: some due times have passed, and their jobs run at once.
const lookEveryMs = 40_000;

interface Hands {
  /** A scheduler, not a worker. */
  looks?: true;
  dead: boolean;
  held: Lying[];
}

export class World {
  readonly bus = new Bus(() => this.now);
  /** What must never happen, and did. */
  readonly violations: string[] = [];
  readonly schedules = new ScheduleStore();
  /** The steps to be undone that a job's last checkpoint had. */
  readonly undoable = new Map<string, string[]>();
  now = Date.parse('2026-11-21T12:00:00Z');
  /** How often each record went from not ended to ended. */
  readonly ends = new Map<string, number>();
  readonly #records = new Map<string, Stored>();
  readonly #notes = new Map<string, string>();
  readonly #blobs = new Map<string, Buffer>();
  readonly #timers = new Set<{ at: number; run: () => void }>();
  readonly #types: JobTypes;
  readonly #trouble: () => Trouble;
  /** What people do, one after the other, whenever the world says `somebody acts`. */
  readonly actions: (() => Promise<void>)[] = [];
  #version = 0;
  #made = 0;
  #depth = 0;

  constructor(catalogue: Catalogue, trouble: () => Trouble) {
    this.#types = new JobTypes(catalogue, topology);
    this.#trouble = trouble;
  }

  /** Changes a record behind everybody's back. */
  change(record: JobRecord): void {
    this.#records.set(record.id, { record, etag: String(++this.#version) });
  }

  get records(): JobRecord[] {
    return [...this.#records.values()].map(({ record }) => record);
  }

  /** An app's pipeline. Without `hands` nothing happens to it. */
  app(hands?: Hands): Working {
    const call = async <T>(act: () => T): Promise<T> => {
      await Promise.resolve();
      return hands ? this.#called(hands, act) : act();
    };
    return {
      types: this.#types,
      topology,
      clock: {
        now: () => new Date(this.now),
        after: (ms, run) => {
          const timer = { at: this.now + ms, run };
          this.#timers.add(timer);
          return () => this.#timers.delete(timer);
        },
      },
      log: () => undefined,
      records: this.#recordsFor(call),
      removal: nothingExpires,
      notes: this.#notesFor(call),
      schedules: this.schedules.port(call),
      blobs: this.#blobsFor(call),
      queue: this.#queueFor(call),
      newId: (at) => idOfOccurrence(`job ${++this.#made}`, at),
      slots: new Slots(() => 0.5),
      notify: () => undefined,
      checkCallback: () => undefined,
      gate: new Gate(1000, topology.lanes),
      turns: new SessionTurns({ now: () => new Date(this.now), after: () => () => undefined }),
      newOwner: () => `owner ${++this.#made}`,
      random: () => 0.5,
      stopping: new AbortController().signal,
      graceMs: 1000,
    };
  }

  /** Until nothing lies in a queue. @throws when that does not come about */
  async run(choose: (count: number) => number): Promise<void> {
    for (let turns = 0; turns < 2000; turns++) {
      if (await this.#step(choose)) continue;
      const next = this.bus.nextVisibleAt();
      if (next === undefined) return;
      this.now = next;
    }
    throw new Error('It does not come to rest.');
  }

  /** Lives on with a scheduler that may die as it looks. */
  async runWithScheduler(until: number, choose: (count: number) => number): Promise<void> {
    for (let next = this.now; this.now < until; ) {
      if (await this.#step(choose)) continue;
      const visible = this.bus.nextVisibleAt() ?? Number.POSITIVE_INFINITY;
      if (next > visible) {
        this.now = visible;
        continue;
      }
      this.now = Math.max(this.now, next);
      next = this.now + lookEveryMs;
      // A look at nothing is no place to die.
      if (this.schedules.nextWakeAt <= next) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const hands: Hands = { dead: false, held: [], looks: true };
    await this.#untilDone(
      tick(this.app(hands)).then(() => undefined),
      hands,
    );
  }

  async #step(choose: (count: number) => number): Promise<boolean> {
    const ready = this.bus.ready(completions);
    const taken = ready[choose(ready.length)] ?? ready[0];
    if (!taken) return false;
    await this.#deliver(taken);
    return true;
  }

  async #deliver(taken: Lying[]): Promise<void> {
    const hands: Hands = { dead: false, held: taken };
    for (const one of taken) one.locked = true;
    const [first] = taken;
    const work = first?.message.queue === completions ? this.#news(hands) : this.#job(hands);
    await this.#untilDone(work, hands);
    // What it left unsettled comes back.
    for (const one of hands.held) one.locked = false;
  }

  async #news(hands: Hands): Promise<void> {
    const taken = [...hands.held];
    await takeCompletions(this.app(hands), taken.map(toIncoming));
    for (const one of hands.held) this.bus.remove(one);
    hands.held = [];
  }

  #job(hands: Hands): Promise<void> {
    const [one] = hands.held;
    if (!one) return Promise.resolve();
    const app = this.app(hands);
    const settle = () =>
      this.#called(hands, () => {
        if (!hands.held.includes(one)) throw new Error('The lock is lost.');
        this.bus.remove(one);
        hands.held = [];
      });
    return execute(app, {
      message: toIncoming(one),
      complete: settle,
      deadLetter: settle,
      abandon: async () => undefined,
    });
  }

  /** Lets time pass for a worker that waits for it; a dead one is not waited for. */
  async #untilDone(work: Promise<void>, hands: Hands): Promise<void> {
    let done = false;
    const settled = work.then(
      () => {
        done = true;
      },
      () => {
        done = true;
      },
    );
    for (let idle = 0; !done && !hands.dead; idle++) {
      for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
      if (done || hands.dead || !next) continue;
      this.#timers.delete(next);
      this.now = Math.max(this.now, next.at);
      next.run();
      if (idle > 500) throw new Error('A worker does not come to an end.');
    }
    if (!hands.dead) await settled;
  }

  /** One call of a worker to the outside. */
  async #called<T>(hands: Hands, act: () => T): Promise<T> {
    if (hands.dead) return new Promise<never>(() => undefined);
    const trouble = this.#trouble();
    if (trouble === 'dies before') return this.#die(hands);
    if (trouble === 'somebody acts') {
      await this.actions.shift()?.();
      // So that it is heard before this worker goes on.
      if (this.#depth < 2) await this.#nested(() => this.#step(() => 0));
    }
    if (trouble === 'loses its lock' && this.#depth < 2) await this.#takenByAnother(hands);
    if (trouble === 'another works' && this.#depth < 2)
      await this.#nested(() => this.#step(() => 0));
    const result = act();
    if (trouble === 'dies after') return this.#die(hands);
    if (trouble === 'answer lost' && isStored(result)) throw new ConflictError('x');
    return result;
  }

  #die(hands: Hands): Promise<never> {
    hands.dead = true;
    return new Promise<never>(() => undefined);
  }

  /** Its messages go to another worker, which does them to the end while this one stands still. */
  async #takenByAnother(hands: Hands): Promise<void> {
    const lost = hands.held;
    hands.held = [];
    if (lost.length === 0) return;
    await this.#nested(() => this.#deliver(lost));
  }

  async #nested(act: () => Promise<unknown>): Promise<void> {
    this.#depth++;
    await act();
    this.#depth--;
  }

  #undoableIn(checkpoint: Kept): string[] {
    const json =
      'json' in checkpoint
        ? checkpoint.json
        : (this.#blobs.get(checkpoint.blob)?.toString() ?? '{}');
    const entries = JSON.parse(json) as Record<string, { undo?: true }>;
    return Object.keys(entries).filter((name) => entries[name]?.undo);
  }

  #recordsFor(call: <T>(act: () => T) => Promise<T>): Records {
    return {
      read: (id) => call(() => structuredClone(this.#records.get(id))),
      readMany: (ids) =>
        call(() => ids.flatMap((id) => structuredClone(this.#records.get(id)?.record) ?? [])),
      write: (record, etag) =>
        call(() => {
          const before = this.#records.get(record.id);
          if (before?.etag !== etag) throw new ConflictError(record.id);
          if (hasEnded(record.state)) {
            const was = before && hasEnded(before.record.state);
            if (!was) this.ends.set(record.id, (this.ends.get(record.id) ?? 0) + 1);
          } else if (before && hasEnded(before.record.state))
            this.violations.push(`${record.id} went on after its end`);
          if (before && hasEnded(before.record.state) && before.record.state !== record.state)
            this.violations.push(
              `${record.id} ended as ${before.record.state}, then ${record.state}`,
            );
          if (record.checkpoint) this.undoable.set(record.id, this.#undoableIn(record.checkpoint));
          const stored = { record: structuredClone(record), etag: String(++this.#version) };
          this.#records.set(record.id, stored);
          return { ...structuredClone(stored), written: true };
        }),
      list: async () => ({ records: [], cursor: undefined }),
    };
  }

  #notesFor(call: <T>(act: () => T) => Promise<T>): Notes {
    const key = (kind: string, name: string) => `${kind} ${name}`;
    return {
      read: (kind, name) => call(() => this.#notes.get(key(kind, name))),
      write: (kind, name, value) => call(() => void this.#notes.set(key(kind, name), value)),
      claim: (kind, name, value) =>
        call(() => {
          const standing = this.#notes.get(key(kind, name)) ?? value;
          this.#notes.set(key(kind, name), standing);
          return standing;
        }),
      replace: (kind, name, value, instead) =>
        call(() => {
          if (this.#notes.get(key(kind, name)) !== instead) return false;
          this.#notes.set(key(kind, name), value);
          return true;
        }),
      remove: (kind, name) => call(() => void this.#notes.delete(key(kind, name))),
      list: async () => [],
      after: async () => [],
    };
  }

  #blobsFor(call: <T>(act: () => T) => Promise<T>): Blobs {
    return {
      write: (name, content) => call(() => void this.#blobs.set(name, Buffer.from(content))),
      read: (name) =>
        call(() => {
          const content = this.#blobs.get(name);
          return content && { content, contentType: 'application/json' };
        }),
      remove: (name) => call(() => void this.#blobs.delete(name)),
      removeAll: async () => undefined,
      readInbox: () => call(() => Buffer.alloc(0)),
    };
  }

  #queueFor(call: <T>(act: () => T) => Promise<T>): Queue {
    return {
      send: (message) => call(() => this.bus.send(message)),
      peekDeadLetters: async () => [],
    };
  }
}
