/** A job's record as a table entity, and back. */
import { placeOf } from '../model/id.ts';
import type { JobRecord, Kept } from '../model/job-record.ts';
import type { Entity } from './group-commit.ts';

// Columns of their own: what a list filters by, and what may be large.
const filtered = ['type', 'state', 'key', 'parent', 'schedule'] as const;

export function toEntity(record: JobRecord): Entity {
  const { result, checkpoint, input, children, events, ...rest } = record;
  const { partition, row } = placeOf(record.id);
  const entity: Entity = { partitionKey: partition, rowKey: row, record: JSON.stringify(rest) };
  for (const name of filtered) if (record[name] !== undefined) entity[name] = record[name];
  // A query finds what has expired by it.
  if (record.keepUntil) entity['keepUntil'] = record.keepUntil;
  if (children) entity['children'] = JSON.stringify(children);
  if (events) entity['events'] = JSON.stringify(events);
  for (const [name, kept] of Object.entries({ result, checkpoint, input }))
    if (kept) entity[`${name}${'json' in kept ? 'Json' : 'Blob'}`] = Object.values(kept)[0];
  return entity;
}

export function fromEntity(entity: Record<string, unknown>): JobRecord {
  const record = JSON.parse(String(entity['record'])) as JobRecord;
  if (entity['children']) record.children = JSON.parse(String(entity['children']));
  if (entity['events']) record.events = JSON.parse(String(entity['events']));
  for (const name of ['result', 'checkpoint', 'input'] as const) {
    const kept = keptOf(entity[`${name}Json`], entity[`${name}Blob`]);
    if (kept) record[name] = kept;
  }
  return record;
}

function keptOf(json: unknown, blob: unknown): Kept | undefined {
  if (json !== undefined) return { json: String(json) };
  return blob === undefined ? undefined : { blob: String(blob) };
}
