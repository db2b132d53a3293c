/** Tables and blobs in memory, and what must never happen to them. */

import { ConflictError } from '#longhaul/errors.js';
import { isClaimOf } from '#longhaul/model/claim.js';
import { placeOf } from '#longhaul/model/id.js';
import { type EndState, hasEnded, type JobRecord, type Kept } from '#longhaul/model/job-record.js';
import type { Blobs, Notes, Records, Removal, Removed, Stored } from '#longhaul/ports.js';

/** Makes of each access a call that something may happen to. */
export type Call = <T>(act: () => T) => Promise<T>;

// A string property of a table entity; larger values the store cuts in pieces.
const maxJsonChars = 32_000;

export class Stores {
  /** What must never happen, and did. */
  readonly violations: string[] = [];
  /** How often each record went from not ended to ended. */
  readonly ends = new Map<string, number>();
  /** How often a failed job was started again. */
  readonly restarts = new Map<string, number>();
  /** The steps to be undone that a job's last checkpoint had. */
  readonly undoable = new Map<string, string[]>();
  /** Steps whose value some write of the record has made last. */
  readonly keptSteps = new Map<string, Set<string>>();
  readonly records = new Map<string, Stored>();
  readonly notes = new Map<string, string>();
  readonly blobs = new Map<string, Buffer>();
  readonly tombstones = new Map<string, Removed>();
  #version = 0;

  put(record: JobRecord): Stored {
    const stored = { record: structuredClone(record), etag: String(++this.#version) };
    this.records.set(record.id, stored);
    return structuredClone(stored);
  }

  recordsFor(call: Call): Records {
    return {
      read: (id) => call(() => structuredClone(this.records.get(id))),
      readMany: (ids) =>
        call(() => ids.flatMap((id) => structuredClone(this.records.get(id)?.record) ?? [])),
      write: (record, etag) =>
        call(() => {
          const before = this.records.get(record.id);
          if (before?.etag !== etag) throw new ConflictError(record.id);
          this.#judge(record, before?.record);
          return { ...this.put(record), written: true };
        }),
      list: async () => ({ records: [], cursor: undefined }),
    };
  }

  #judge(record: JobRecord, before: JobRecord | undefined): void {
    const { id, state } = record;
    for (const kept of [record.result, record.checkpoint, record.input])
      if (kept && 'json' in kept && kept.json.length > maxJsonChars)
        this.violations.push(`${id} has a value of ${kept.json.length} characters in place`);
    if (!before && this.tombstones.has(id))
      this.violations.push(`${id} came back after its removal`);
    const wasOver = before !== undefined && hasEnded(before.state);
    if (hasEnded(state)) {
      if (!wasOver) this.ends.set(id, (this.ends.get(id) ?? 0) + 1);
      else if (before.state !== state)
        this.violations.push(`${id} ended as ${before.state}, then ${state}`);
    } else if (wasOver) {
      if (isRetry(before, record)) this.restarts.set(id, (this.restarts.get(id) ?? 0) + 1);
      else this.violations.push(`${id} went on after its end`);
    }
    if (record.checkpoint) this.#look(id, record.checkpoint);
  }

  #look(id: string, checkpoint: Kept): void {
    const json =
      'json' in checkpoint
        ? checkpoint.json
        : (this.blobs.get(checkpoint.blob)?.toString() ?? '{}');
    const entries = JSON.parse(json) as Record<
      string,
      { undo?: true; kind: string; value?: Kept; cursor?: Kept }
    >;
    const names = Object.keys(entries);
    this.undoable.set(
      id,
      names.filter((name) => entries[name]?.undo),
    );
    const steps = names.filter((name) => entries[name]?.kind === 'step' && entries[name]?.value);
    this.keptSteps.set(id, new Set(steps));
    for (const { value, cursor } of Object.values(entries))
      for (const kept of [value, cursor])
        if (kept && 'blob' in kept && !this.blobs.has(kept.blob))
          this.violations.push(`${id} keeps ${kept.blob}, which is not there`);
  }

  removalFor(call: Call): Removal {
    return {
      expired: (partition, now) =>
        call(() =>
          [...this.records.values()]
            .map(({ record }) => record)
            .filter(
              ({ id, keepUntil }) =>
                placeOf(id).partition === partition &&
                keepUntil !== undefined &&
                new Date(keepUntil) <= now,
            ),
        ),
      remove: (_, records) =>
        call(() => {
          for (const { id, keepUntil = '', state } of records) {
            this.tombstones.set(id, { at: keepUntil, state: state as EndState });
            this.records.delete(id);
          }
        }),
      removed: (id) => call(() => this.tombstones.get(id)),
      forget: (partition, before) =>
        call(() => {
          for (const [id, { at }] of this.tombstones)
            if (placeOf(id).partition === partition && at <= before.toISOString())
              this.tombstones.delete(id);
        }),
    };
  }

  notesFor(call: Call): Notes {
    const key = (kind: string, name: string) => `${kind}\n${name}`;
    const of = (kind: string) =>
      [...this.notes]
        .filter(([at]) => at.startsWith(`${kind}\n`))
        .map(([at, value]) => ({ name: at.slice(kind.length + 1), value }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      read: (kind, name) => call(() => this.notes.get(key(kind, name))),
      write: (kind, name, value) => call(() => void this.notes.set(key(kind, name), value)),
      claim: (kind, name, value) =>
        call(() => {
          const standing = this.notes.get(key(kind, name)) ?? value;
          this.notes.set(key(kind, name), standing);
          return standing;
        }),
      replace: (kind, name, value, instead) =>
        call(() => {
          if (this.notes.get(key(kind, name)) !== instead) return false;
          this.notes.set(key(kind, name), value);
          return true;
        }),
      remove: (kind, name, id) =>
        call(() => {
          const found = this.notes.get(key(kind, name));
          if (found !== undefined && (id === undefined || isClaimOf(found, id)))
            this.notes.delete(key(kind, name));
        }),
      list: (kind, before) =>
        call(() =>
          of(kind)
            .map(({ name }) => name)
            .filter((name) => name < before),
        ),
      after: (kind, name) => call(() => of(kind).filter((one) => one.name > name)),
    };
  }

  blobsFor(call: Call): Blobs {
    return {
      write: (name, content) => call(() => void this.blobs.set(name, Buffer.from(content))),
      read: (name) =>
        call(() => {
          const content = this.blobs.get(name);
          return content && { content, contentType: 'application/json' };
        }),
      remove: (name) => call(() => void this.blobs.delete(name)),
      removeAll: (prefix) =>
        call(() => {
          for (const name of this.blobs.keys())
            if (name.startsWith(prefix)) this.blobs.delete(name);
        }),
      readInbox: () => call(() => Buffer.alloc(0)),
    };
  }
}

/** Somebody started the failed job again. */
const isRetry = (before: JobRecord, after: JobRecord) =>
  before.state === 'failed' && after.triedBefore === before.attempt && after.turn > before.turn;
