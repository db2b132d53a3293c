/** A job's record as a table entity, and back. */
import { tableKeyOf } from '../model/id.ts';
import type { JobRecord, StoredValue } from '../model/job-record.ts';
import type { Entity } from './group-commit.ts';

// Columns of their own: what a list filters by, and what may be large.
const filtered = ['type', 'state', 'key', 'parent', 'schedule', 'requestedBy'] as const;
const kepts = ['result', 'checkpoint', 'input'] as const;

// Learn, "Understanding the Table service data model": a string has 64 KiB, of UTF-16.
const columnChars = 32_000;

export function toEntity(record: JobRecord): Entity {
  const { result, checkpoint, input, children, events, ...rest } = record;
  const { partition, row } = tableKeyOf(record.id);
  const entity: Entity = { partitionKey: partition, rowKey: row, ...columns('record', rest) };
  for (const name of filtered) if (record[name] !== undefined) entity[name] = record[name];
  // A query finds what has expired by it.
  if (record.keepUntil) entity['keepUntil'] = record.keepUntil;
  if (children) Object.assign(entity, columns('children', children));
  if (events) Object.assign(entity, columns('events', events));
  for (const [name, kept] of Object.entries({ result, checkpoint, input }))
    if (kept) entity[`${name}${'json' in kept ? 'Json' : 'Blob'}`] = Object.values(kept)[0];
  return entity;
}

/** The value as JSON: `name`, and `name1`, `name2` for what one column cannot hold. */
function columns(name: string, value: unknown): Record<string, string> {
  const json = JSON.stringify(value);
  const parts: Record<string, string> = {};
  for (let at = 0, n = 0; at < json.length; at += columnChars, n++)
    parts[n === 0 ? name : `${name}${n}`] = json.slice(at, at + columnChars);
  return parts;
}

function fromColumns(entity: Record<string, unknown>, name: string): unknown {
  let json = String(entity[name]);
  for (let n = 1; entity[`${name}${n}`] !== undefined; n++) json += String(entity[`${name}${n}`]);
  return JSON.parse(json);
}

export function fromEntity(entity: Record<string, unknown>): JobRecord {
  const record = fromColumns(entity, 'record') as JobRecord;
  for (const name of ['children', 'events'] as const)
    if (entity[name]) record[name] = fromColumns(entity, name) as never;
  for (const name of kepts) {
    const kept = keptOf(entity[`${name}Json`], entity[`${name}Blob`]);
    if (kept) record[name] = kept;
  }
  return record;
}

function keptOf(json: unknown, blob: unknown): StoredValue | undefined {
  if (json !== undefined) return { json: String(json) };
  return blob === undefined ? undefined : { blob: String(blob) };
}
