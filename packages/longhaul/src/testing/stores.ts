/** Tables and blobs in memory. */

import { ConflictError, NonRetryableError } from '../errors.ts';
import { isClaimOf } from '../model/claim.ts';
import { tableKeyOf } from '../model/id.ts';
import { isEnded, type JobRecord } from '../model/job-record.ts';
import type { Blobs, KeyValueStore, Records, Removal, Removed, Stored } from '../ports.ts';

/** Makes of each access a call that something may happen to. */
export type Call = <T>(act: () => T) => Promise<T>;

export class Stores {
  readonly records = new Map<string, Stored>();
  readonly notes = new Map<string, string>();
  readonly blobs = new Map<string, Buffer>();
  readonly contentTypes = new Map<string, string>();
  /** What people put into the container `inbox`. */
  readonly inbox = new Map<string, Buffer>();
  readonly tombstones = new Map<string, Removed>();
  #version = 0;

  put(record: JobRecord): Stored {
    const stored = { record: structuredClone(record), etag: String(++this.#version) };
    this.records.set(record.id, stored);
    return structuredClone(stored);
  }

  /** For who looks at what is written. */
  protected wrote(_record: JobRecord, _before: JobRecord | undefined): void {}

  recordsFor(call: Call): Records {
    return {
      read: (id) => call(() => structuredClone(this.records.get(id))),
      readMany: (ids) =>
        call(() => ids.flatMap((id) => structuredClone(this.records.get(id)?.record) ?? [])),
      write: (record, etag) =>
        call(() => {
          const before = this.records.get(record.id);
          if (before?.etag !== etag) throw new ConflictError(record.id);
          this.wrote(record, before?.record);
          return { ...this.put(record), written: true };
        }),
      list: ({ from, to, states, ...filter }, limit, cursor) =>
        call(() => {
          const isListed = (record: JobRecord) =>
            (!from || record.createdAt >= from.toISOString()) &&
            (!to || record.createdAt < to.toISOString()) &&
            (states?.includes(record.state) ?? true) &&
            Object.entries(filter).every(
              ([name, value]) => value === undefined || record[name as 'type'] === value,
            );
          const all = [...this.records.values()]
            .map(({ record }) => record)
            .sort((a, b) => (a.id < b.id ? -1 : 1))
            .filter(({ id }) => cursor === undefined || id > cursor)
            .filter(isListed);
          const records = all.slice(0, limit);
          return { records, cursor: all.length > limit ? records.at(-1)?.id : undefined };
        }),
    };
  }

  removalFor(call: Call): Removal {
    return {
      expired: (partition, now) =>
        call(() =>
          [...this.records.values()]
            .map(({ record }) => record)
            .filter(isEnded)
            .filter(
              ({ id, keepUntil }) =>
                tableKeyOf(id).partition === partition && new Date(keepUntil) <= now,
            ),
        ),
      remove: (_, records) =>
        call(() => {
          for (const { id, keepUntil, state } of records) {
            this.tombstones.set(id, { at: keepUntil, state });
            this.records.delete(id);
          }
        }),
      removed: (id) => call(() => this.tombstones.get(id)),
      forget: (partition, before) =>
        call(() => {
          for (const [id, { at }] of this.tombstones)
            if (tableKeyOf(id).partition === partition && at <= before.toISOString())
              this.tombstones.delete(id);
        }),
    };
  }

  notesFor(call: Call): KeyValueStore {
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
      write: (name, content, contentType) =>
        call(() => {
          this.blobs.set(name, Buffer.from(content));
          this.contentTypes.set(name, contentType);
        }),
      read: (name) =>
        call(() => {
          const content = this.blobs.get(name);
          const contentType = this.contentTypes.get(name) ?? 'application/octet-stream';
          return content && { content, contentType };
        }),
      append: (name, content, mostBytes) =>
        call(() => {
          const longer = Buffer.concat([this.blobs.get(name) ?? Buffer.alloc(0), content]);
          if (longer.length > mostBytes) return undefined;
          this.blobs.set(name, longer);
          return longer.length;
        }),
      readPart: (name, from, bytes) =>
        call(() => Buffer.from(this.blobs.get(name)?.subarray(from, from + bytes) ?? [])),
      remove: (name) => call(() => void this.blobs.delete(name)),
      removeAll: (prefix) =>
        call(() => {
          for (const name of this.blobs.keys())
            if (name.startsWith(prefix)) this.blobs.delete(name);
        }),
      readInbox: (name) =>
        call(() => {
          const found = this.inbox.get(name);
          if (found) return Buffer.from(found);
          throw new NonRetryableError(
            `There is no blob '${name}' in the container 'inbox': upload it first.`,
          );
        }),
    };
  }
}
