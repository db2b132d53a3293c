/** What an attempt leaves for the next: values of steps, cursors of loops, what was waited for. */
import { createHash } from 'node:crypto';
import { StepChangedError, StepRepeatedError } from '../errors.ts';
import type { JobRecord, Kept } from '../model/job-record.ts';
import { keep, kept } from './claim-check.ts';
import type { Lease } from './lease.ts';
import type { Blobs } from './ports.ts';

export type EntryKind = 'step' | 'checkpoint' | 'sleep' | 'event' | 'children';

interface Entry {
  kind: EntryKind;
  /** In which order they came. */
  n: number;
  /** What had ended in the handler when it began: code that did not change gets here the same way. */
  after?: string;
  /** It is over, and this is its value. */
  value?: Kept;
  /** Of a loop: where to go on. */
  cursor?: Kept;
  /** Of a sleep or a timeout. */
  until?: string;
  /** It timed out. */
  late?: true;
  undo?: true;
}

type Entries = Record<string, Entry>;

// Larger values get a blob of their own, so that each write costs what is new and not what is old.
const inPlaceChars = 8_000;

export class Checkpoint {
  readonly #entries: Entries;
  readonly #lease: Lease;
  readonly #blobs: Blobs;
  /** Names that this run has come by. */
  readonly #visited = new Set<string>();
  readonly #ended: string[] = [];
  /** Blobs that nothing will point to after the next write. */
  #stale: string[] = [];
  #version: number;

  private constructor(entries: Entries, version: number, lease: Lease, blobs: Blobs) {
    this.#entries = entries;
    this.#version = version;
    this.#lease = lease;
    this.#blobs = blobs;
  }

  static async load(lease: Lease, blobs: Blobs): Promise<Checkpoint> {
    const stored = lease.record.checkpoint;
    const text = stored ? await kept(blobs, stored) : '{}';
    const version = stored && 'blob' in stored ? versionOf(stored.blob) : 0;
    return new Checkpoint(JSON.parse(text) as Entries, version, lease, blobs);
  }

  /**
   * What an earlier run left under that name, or one of its former names.
   * @throws StepChangedError when it is of another kind, StepRepeatedError when this run has used it
   */
  visit(kind: EntryKind, name: string, formerly: readonly string[] = []): Entry | undefined {
    if (this.#visited.has(name)) throw new StepRepeatedError(name);
    const former = formerly.find((old) => this.#get(name) === undefined && this.#get(old));
    if (former !== undefined) {
      this.#entries[name] = this.#entries[former] as Entry;
      delete this.#entries[former];
    }
    const entry = this.#get(name);
    if (entry && entry.kind !== kind)
      throw new StepChangedError(`'${name}' was kept as a ${entry.kind} and is now a ${kind}`);
    this.#visited.add(name);
    return entry;
  }

  /** It failed and was not kept: the handler may try it again. */
  leave(name: string): void {
    this.#visited.delete(name);
    this.#ended.push(`!${name}`);
  }

  /** In which situation a step begins that was not kept. */
  get situation(): string {
    const ended = this.#ended.toSorted().join('\n');
    return createHash('sha256').update(ended).digest('base64url').slice(0, 8);
  }

  /** One that was kept in this situation and that this run has not come by. */
  missed(situation: string): string | undefined {
    return Object.keys(this.#entries).find(
      (name) => this.#entries[name]?.after === situation && !this.#visited.has(name),
    );
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  isLate(name: string): boolean {
    return this.#get(name)?.late === true;
  }

  async valueOf(name: string, which: 'value' | 'cursor' = 'value'): Promise<unknown> {
    const stored = this.#get(name)?.[which];
    if (which === 'value') this.#ended.push(name);
    return stored && JSON.parse(await kept(this.#blobs, stored));
  }

  /** Resolves when it is kept; `also` goes into the record with the same write. */
  async put(
    kind: EntryKind,
    name: string,
    what: { value: unknown } | { cursor: unknown },
    also: Partial<JobRecord>,
    more: Pick<Entry, 'after' | 'undo'> = {},
  ): Promise<void> {
    const which = 'value' in what ? 'value' : 'cursor';
    const value = 'value' in what ? what.value : what.cursor;
    const blob = this.#blobName(`kept-${this.#version}-${this.#count}`);
    const stored = await keep(this.#blobs, blob, value ?? null, inPlaceChars);
    const { cursor } = this.#get(name) ?? {};
    if (cursor && 'blob' in cursor) this.#stale.push(cursor.blob);
    this.note(kind, name, { [which]: stored, ...more });
    if (which === 'value') this.#ended.push(name);
    await this.write((record) => ({ ...record, ...also }));
  }

  /** Goes with the next write. */
  note(kind: EntryKind, name: string, entry: Partial<Entry>): void {
    const n = this.#get(name)?.n ?? this.#count;
    this.#entries[name] = { kind, n, ...entry };
  }

  async write(change: (record: JobRecord) => JobRecord): Promise<void> {
    const checkpoint = await this.save();
    const before = this.#lease.record.checkpoint;
    await this.#lease.note((record) => ({ ...change(record), checkpoint }));
    // Crash here: a blob that nothing points to, until the job's blobs are removed.
    if (before && 'blob' in before) this.#stale.push(before.blob);
    const stale = this.#stale.splice(0);
    await Promise.all(stale.map((blob) => this.#blobs.remove(blob).catch(() => undefined)));
  }

  save(): Promise<Kept> {
    // A new name each time: a worker that lost its lock must not change what the record points to.
    this.#version++;
    return keep(this.#blobs, this.#blobName(`checkpoint-${this.#version}`), this.#entries);
  }

  /** Steps to be undone, the last one first. */
  get undoable(): string[] {
    return Object.keys(this.#entries)
      .filter((name) => this.#entries[name]?.undo)
      .sort((a, b) => (this.#entries[b]?.n ?? 0) - (this.#entries[a]?.n ?? 0));
  }

  forget(name: string): void {
    delete this.#entries[name];
  }

  get #count(): number {
    return 1 + Math.max(0, ...Object.values(this.#entries).map(({ n }) => n));
  }

  #get(name: string): Entry | undefined {
    return Object.hasOwn(this.#entries, name) ? this.#entries[name] : undefined;
  }

  #blobName(what: string): string {
    return `jobs/${this.#lease.record.id}/${what}-${this.#lease.owner}.json`;
  }
}

const versionOf = (blob: string) => Number(/checkpoint-(\d+)-/.exec(blob)?.[1] ?? 0);
