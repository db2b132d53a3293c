/** A job's record as a table entity, and back. */
import { createHash } from 'node:crypto';
import { tableKeyOf } from '../model/id.ts';
import type { JobRecord, StoredValue } from '../model/job-record.ts';
import type { Entity } from './group-commit.ts';

// Columns of their own: what a list filters by, and what may be large.
const filtered = ['type', 'state', 'key', 'parent', 'schedule', 'requestedBy'] as const;
const kepts = ['result', 'checkpoint', 'input'] as const;
const cut = ['record', 'children', 'events'] as const;

// Learn, "Understanding the Table service data model": a string has 64 KiB, of UTF-16.
const columnChars = 32_000;
// Of 1 MiB in all.
const mostColumns = 17;

/** The columns that a status is made of: a list does not carry what jobs were given. */
export const withoutInput: string[] = [
  ...['PartitionKey', 'RowKey', 'resultJson', 'resultBlob'],
  ...cut.flatMap((name) =>
    Array.from({ length: mostColumns }, (_, n) => (n === 0 ? name : `${name}${n}`)),
  ),
];

/**
 * A filter cannot look into a list, and compares fifteen times at most: each tag has a column that is
 * called after it.
 */
export const tagColumn = (tag: string): string =>
  `tag_${createHash('sha256').update(tag).digest('hex').slice(0, 24)}`;

export function toEntity(record: JobRecord): Entity {
  const { result, checkpoint, input, children, events, ...rest } = record;
  const { partition, row } = tableKeyOf(record.id);
  const json = JSON.stringify(rest);
  const entity: Entity = { partitionKey: partition, rowKey: row, ...columns('record', json) };
  for (const name of filtered) if (record[name] !== undefined) entity[name] = record[name];
  for (const tag of record.tags ?? []) entity[tagColumn(tag)] = tag;
  // A query finds what has expired by it.
  if (record.keepUntil) entity['keepUntil'] = record.keepUntil;
  if (children) Object.assign(entity, columns('children', JSON.stringify(children)));
  if (events) Object.assign(entity, columns('events', JSON.stringify(events)));
  for (const [name, kept] of Object.entries({ result, checkpoint, input }))
    if (!kept) continue;
    else if ('json' in kept && kept.json.length > columnChars)
      Object.assign(entity, columns(name, kept.json));
    else entity[`${name}${'json' in kept ? 'Json' : 'Blob'}`] = Object.values(kept)[0];
  return entity;
}

/** JSON text: `name`, and `name1`, `name2` for what one column cannot hold. */
function columns(name: string, json: string): Record<string, string> {
  const parts: Record<string, string> = {};
  for (let at = 0, n = 0; at < json.length; n++) {
    const most = json.slice(at, at + columnChars);
    // No column ends with half a character.
    const part = /[\uD800-\uDBFF]$/.test(most) ? most.slice(0, -1) : most;
    parts[n === 0 ? name : `${name}${n}`] = part;
    at += part.length;
  }
  return parts;
}

/** Of columns that were asked for and are not there, a service may say that they are null. */
const isThere = (column: unknown): column is string => column !== undefined && column !== null;

function textOf(entity: Record<string, unknown>, name: string): string {
  let json = String(entity[name]);
  for (let n = 1; isThere(entity[`${name}${n}`]); n++) json += entity[`${name}${n}`];
  return json;
}

export function fromEntity(entity: Record<string, unknown>): JobRecord {
  const record = JSON.parse(textOf(entity, 'record')) as JobRecord;
  for (const name of ['children', 'events'] as const)
    if (entity[name]) record[name] = JSON.parse(textOf(entity, name)) as never;
  for (const name of kepts) {
    const json = isThere(entity[name]) ? textOf(entity, name) : entity[`${name}Json`];
    const kept = keptOf(json, entity[`${name}Blob`]);
    if (kept) record[name] = kept;
  }
  return record;
}

function keptOf(json: unknown, blob: unknown): StoredValue | undefined {
  if (isThere(json)) return { json };
  return isThere(blob) ? { blob } : undefined;
}
