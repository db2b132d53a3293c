/** What an attempt leaves for the next: values of steps, cursors of loops, what was waited for. */
import { createHash } from 'node:crypto';
import { toJson } from '../define/json.ts';
import { StepChangedError, StepRepeatedError } from '../errors.ts';
import { withoutStarts } from '../fate/crashes.ts';
import type { ErrorRecord } from '../model/error-record.ts';
import type { JobRecord, Ran, StoredValue } from '../model/job-record.ts';
import { keptBlob } from '../model/names.ts';
import type { Blobs } from '../ports.ts';
import { inRecordChars, loadJson, storeJson } from '../record/claim-check.ts';
import type { Lease } from '../record/lease.ts';

export type EntryKind = 'step' | 'checkpoint' | 'sleep' | 'event' | 'children';

/** How something failed whose failures the handler caught. */
export interface KeptFailures {
  /** Another attempt tries it again. */
  attempt: number;
  /** Each time, before it succeeded or the handler went on without it. */
  met: KeptFailure[];
}

export interface KeptFailure {
  error: ErrorRecord;
  /** As that of an entry. */
  order: number;
  /** It was a NonRetryableError. */
  final?: true;
}

export interface Entry {
  kind: EntryKind;
  /** Which of all it was to end, from 1: a run that follows lets them end in this order. */
  order?: number;
  /** What had ended in the handler when it began: code that did not change gets here the same way. */
  after?: string;
  /** The name under which it was first kept. */
  first?: string;
  /** It is over, and this is its value. */
  value?: StoredValue;
  /** It failed. */
  failed?: KeptFailures;
  /** Of a loop: where to go on. */
  cursor?: StoredValue;
  /** Of a sleep or a timeout. */
  until?: string;
  /** It timed out, in this attempt. */
  late?: number;
  undo?: true;
  /** When it ran last, and when it failed, the last twenty times. */
  ran?: Ran;
  tried?: { ran: Ran; error: string }[];
}

const triedListed = 20;
const errorChars = 200;

// Stands for `undefined`, of which there is no JSON.
const nothing = '';

/** What a checkpoint keeps, again. */
export const fromText = (text: string): unknown =>
  text === nothing ? undefined : JSON.parse(text);

/** As a checkpoint keeps it. @throws NonRetryableError, code `not_json` */
export const toText = (value: unknown, whose: string): string =>
  value === undefined ? nothing : toJson(value, whose);

type Entries = Record<string, Entry>;

/** What a record's checkpoint keeps. */
export async function entriesOf(blobs: Blobs, { checkpoint }: JobRecord): Promise<Entries> {
  return JSON.parse(checkpoint ? await loadJson(blobs, checkpoint) : '{}') as Entries;
}

type Put = [
  kind: EntryKind,
  name: string,
  /** As JSON text. */
  what: { value: string } | { cursor: string },
  also: Pick<JobRecord, 'progress'>,
  more?: Pick<Entry, 'after' | 'undo'>,
];
type Change = (record: JobRecord) => JobRecord;

// Larger values get a blob of their own, so that each write costs what is new and not what is old.
const inPlaceChars = 8_000;

export class Checkpoint {
  readonly #entries: Entries;
  readonly #lease: Lease;
  readonly #blobs: Blobs;
  /** Names that this run has come by. */
  readonly #visited = new Set<string>();
  readonly #metWith: string[] = [];
  /** How often each had failed when this run began, and how often it has met that. */
  readonly #failedBefore = new Map<string, KeptFailures>();
  readonly #failedAgain = new Map<string, number>();
  /** Blobs that nothing will point to after the next write. */
  #stale: string[] = [];
  readonly #puts = new Set<Promise<unknown>>();
  /** What has begun in this run. */
  readonly #begun = new Map<string, Ran>();
  #blobsMade = 0;
  #putsMade = 0;
  readonly #lastPut = new Map<string, number>();
  readonly #latest = new Map<string, Promise<unknown>>();
  #order: number;
  /** What the handler was told, that no write has yet. */
  #isAhead = false;
  /** There is something that no write has yet. */
  #isStaged = false;
  /** The write of what it was told last. */
  #told: Promise<void> = Promise.resolve();
  /** What goes with the next write, and that write; it begins when the one before it is done. */
  #next: { changes: Change[]; done: Promise<void> } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(entries: Entries, lease: Lease, blobs: Blobs) {
    // Without a prototype: a step may be called anything.
    this.#entries = Object.assign(Object.create(null) as Entries, entries);
    this.#lease = lease;
    this.#blobs = blobs;
    for (const [name, { failed }] of Object.entries(entries))
      if (failed) this.#failedBefore.set(name, failed);
    this.#order = Math.max(0, ...this.orders);
  }

  static async load(lease: Lease, blobs: Blobs): Promise<Checkpoint> {
    return new Checkpoint(await entriesOf(blobs, lease.record), lease, blobs);
  }

  /**
   * What an earlier run left under that name, or one of its former names.
   * @throws StepChangedError when it is of another kind, StepRepeatedError when this run has used it
   */
  visit(kind: EntryKind, name: string, formerly: readonly string[] = []): Entry | undefined {
    if (this.#visited.has(name)) throw new StepRepeatedError(name);
    const former = formerly.find((old) => this.get(name) === undefined && this.get(old));
    if (former !== undefined) {
      this.#entries[name] = { first: former, ...(this.#entries[former] as Entry) };
      delete this.#entries[former];
      const failed = this.#failedBefore.get(former);
      if (failed) this.#failedBefore.set(name, failed);
    }
    const entry = this.get(name);
    if (entry && entry.kind !== kind)
      throw new StepChangedError(`'${name}' was kept as a ${entry.kind} and is now a ${kind}`);
    this.#visited.add(name);
    return entry;
  }

  /** It failed: the handler may try it again. Resolves when the handler may know; goes with the next write. */
  async fail(kind: EntryKind, name: string, failure: Omit<KeptFailure, 'order'>): Promise<void> {
    const { attempt } = this.#lease.record;
    const { failed: before, cursor } = this.get(name) ?? {};
    const met = before?.attempt === attempt ? before.met : [];
    const ran = this.#timesOf(name);
    const error = `${failure.error.name}: ${failure.error.message}`.slice(0, errorChars);
    const tried = [...(this.get(name)?.tried ?? []), ...(ran ? [{ ran, error }] : [])];
    const failed = { attempt, met: [...met, { ...failure, order: ++this.#order }] };
    this.#begun.delete(name);
    this.stage(kind, name, {
      ...(cursor ? { cursor } : {}),
      failed,
      ...(ran ? { tried: tried.slice(-triedListed), ran } : {}),
    });
    this.#isAhead = true;
    // What ended before it is told before it, now as in every run to come.
    await (this.#next?.done ?? this.#last).catch(() => undefined);
    this.#meetFailure(name);
  }

  /** A wait is over that could have ended otherwise. */
  told(): void {
    this.#isAhead = true;
  }

  /**
   * Writes what the handler was told. Before anything that it does on the strength of it: else the next
   * run might be told otherwise, and both would have been done.
   */
  async flush(): Promise<void> {
    await (this.#isAhead ? this.write((record) => record) : this.#told);
  }

  /** A kept failure is met once more. */
  failAgain(name: string): void {
    this.#failedAgain.set(name, (this.#failedAgain.get(name) ?? 0) + 1);
    this.#meetFailure(name);
  }

  /** The kept failure that this run is to meet next under the name. */
  nextFailure(name: string): KeptFailure | undefined {
    return this.#failedBefore.get(name)?.met[this.#failedAgain.get(name) ?? 0];
  }

  #meetFailure(name: string): void {
    this.#visited.delete(name);
    this.met(`!${this.#firstOf(name)}`);
  }

  /** The handler was told something by which it may take another way. */
  met(what: string): void {
    this.#metWith.push(what);
  }

  #firstOf(name: string): string {
    return this.get(name)?.first ?? name;
  }

  /** In which situation a step begins that was not kept. */
  get situation(): string {
    const ended = this.#metWith.toSorted().join('\n');
    return createHash('sha256').update(ended).digest('base64url').slice(0, 8);
  }

  /** One that was kept in this situation and that this run has not come by. */
  missed(situation: string): string | undefined {
    return Object.keys(this.#entries).find((name) => {
      const entry = this.#entries[name];
      return entry?.value && entry.after === situation && !this.#visited.has(name);
    });
  }

  /** As what number it ended last; 0 if it has not. */
  orderOf(name: string): number {
    const { order = 0, failed } = this.get(name) ?? {};
    return Math.max(order, failed?.met.at(-1)?.order ?? 0);
  }

  /** The order in which things ended, of those that have. */
  get orders(): number[] {
    return Object.values(this.#entries).flatMap(({ order, failed }) => [
      ...(order === undefined ? [] : [order]),
      ...(failed?.met.map((one) => one.order) ?? []),
    ]);
  }

  /** What was kept; called again, it is another copy. */
  async valueOf(name: string, which: 'value' | 'cursor' = 'value'): Promise<() => unknown> {
    const stored = this.get(name)?.[which];
    const text = () => (stored ? loadJson(this.#blobs, stored) : Promise.resolve(nothing));
    const json = await this.#lease.persist(text);
    if (which === 'value') this.met(this.#firstOf(name));
    return () => fromText(json);
  }

  /**
   * Resolves with a copy, as every run to come will read it, when it is kept; `also` goes into the record
   * with the same write.
   */
  async put(...what: Put): Promise<unknown> {
    const put = this.#put(...what);
    this.#puts.add(put);
    this.#latest.set(what[1], put);
    return put.finally(() => this.#puts.delete(put));
  }

  async #put(...[kind, name, what, also, more = {}]: Put): Promise<unknown> {
    const which = 'value' in what ? 'value' : 'cursor';
    const put = ++this.#putsMade;
    const json = 'value' in what ? what.value : what.cursor;
    // Its number is taken before anything is awaited: beside it others keep values.
    const blob = this.#newBlob('kept');
    const stored = await this.#lease.persist(() =>
      storeJson(this.#blobs, blob, json, inPlaceChars),
    );
    if ((this.#lastPut.get(name) ?? 0) > put) {
      // One that was put later was faster, and stands for it.
      await this.#latest.get(name);
      return fromText(json);
    }
    this.#lastPut.set(name, put);
    const { cursor, failed, first } = this.get(name) ?? {};
    if (cursor && 'blob' in cursor) this.#stale.push(cursor.blob);
    // Of this attempt: the handler met it, and went on to here.
    const met = failed?.attempt === this.#lease.record.attempt ? { failed } : {};
    this.stage(kind, name, { [which]: stored, ...met, ...more, ...(first ? { first } : {}) });
    if (which === 'value') {
      this.end(name);
      this.met(this.#firstOf(name));
    }
    await this.write((record) => ({ ...withoutStarts(record), ...also }));
    return fromText(json);
  }

  /** Goes with the next write. */
  stage(kind: EntryKind, name: string, entry: Partial<Entry>): void {
    const { order, ran = this.#begun.get(name), tried } = this.get(name) ?? {};
    this.#entries[name] = {
      kind,
      ...(order === undefined ? {} : { order }),
      ...(ran ? { ran: this.#begun.get(name) ?? ran } : {}),
      ...(tried ? { tried } : {}),
      ...entry,
    };
    this.#isStaged = true;
  }

  /** It is over, after all that are. Goes with the next write. */
  end(name: string): void {
    const entry = this.get(name);
    if (!entry) return;
    entry.order = ++this.#order;
    const ran = this.#timesOf(name);
    if (ran) entry.ran = ran;
    this.#isStaged = true;
  }

  /** Its time runs from now; `goesOn`: from when it first did in this attempt. */
  begin(name: string, { goesOn = false, at = this.#lease.now } = {}): void {
    const { attempt } = this.#lease.record;
    if (goesOn && this.get(name)?.ran?.[2] === attempt) return;
    this.#begun.set(name, [at, null, attempt]);
  }

  #timesOf(name: string): Ran | undefined {
    const [begin, , attempt] = this.#begun.get(name) ?? this.get(name)?.ran ?? [];
    if (begin === undefined || attempt === undefined) return undefined;
    return [begin, Math.max(0, this.#lease.now - begin), attempt];
  }

  /** What no write has yet, where it costs none of its own. */
  get unsaved(): StoredValue | undefined {
    if (!this.#isStaged) return undefined;
    const json = JSON.stringify(this.#entries);
    return json.length <= inRecordChars ? { json } : undefined;
  }

  /** One write at a time; what comes while one is under way goes together in the next. */
  write(change: Change): Promise<void> {
    if (this.#next) this.#next.changes.push(change);
    else {
      const changes = [change];
      const done = this.#last.then(() => {
        this.#next = undefined;
        const carriesTold = this.#isAhead;
        const written = this.#write(changes);
        if (carriesTold) this.#told = written;
        return written;
      });
      this.#last = done.catch(() => undefined);
      this.#next = { changes, done };
    }
    return this.#next.done;
  }

  async #write(changes: readonly Change[]): Promise<void> {
    // What becomes stale from here on is still pointed to by this write.
    const stale = this.#stale.splice(0);
    this.#isAhead = false;
    this.#isStaged = false;
    const checkpoint = await this.#keepEntries();
    const before = this.#lease.record.checkpoint;
    const isUndoable = Object.values(this.#entries).some(({ undo }) => undo);
    const undoable = isUndoable ? { undoable: true as const } : {};
    await this.#lease.writeRunning((record) => ({
      ...changes.reduce((changed, change) => change(changed), record),
      ...undoable,
      checkpoint,
    }));
    // Crash here: a blob that nothing points to, until the job's blobs are removed.
    if (before && 'blob' in before) stale.push(before.blob);
    await Promise.all(stale.map((blob) => this.#blobs.remove(blob).catch(() => undefined)));
  }

  /** Resolves once nothing is being kept any more: what was done is not to be lost to a slow write. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#puts);
  }

  /** For a record that somebody else writes: once all that was begun is written, or has failed. */
  async save(): Promise<StoredValue> {
    let last: unknown;
    while (last !== this.#last) {
      last = this.#last;
      await last;
    }
    return this.#keepEntries();
  }

  // A new name each time: a worker that lost its lock must not change what the record points to.
  #keepEntries(): Promise<StoredValue> {
    const blob = this.#newBlob('checkpoint');
    const json = JSON.stringify(this.#entries);
    return this.#lease.persist(() => storeJson(this.#blobs, blob, json));
  }

  #newBlob(what: string): string {
    const { record, owner } = this.#lease;
    return keptBlob(record.id, `${what}-${++this.#blobsMade}`, owner);
  }

  /** Steps to be undone, the last one first. */
  get undoable(): string[] {
    return Object.keys(this.#entries)
      .filter((name) => this.#entries[name]?.undo)
      .sort((a, b) => (this.#entries[b]?.order ?? 0) - (this.#entries[a]?.order ?? 0));
  }

  forget(name: string): void {
    delete this.#entries[name];
  }

  get(name: string): Entry | undefined {
    return this.#entries[name];
  }
}
