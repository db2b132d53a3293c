/** Job records and notes in Table storage. */
import { odata, type TableClient } from '@azure/data-tables';
import { ConflictError } from '../errors.ts';
import { placeOf } from '../model/id.ts';
import type { JobRecord, Kept } from '../model/job-record.ts';
import type { Notes, RecordFilter, Records } from '../pipeline/ports.ts';
import { type Entity, GroupCommit } from './group-commit.ts';

// Columns of their own: what a list filters by, and what may be large.
const filtered = ['type', 'state', 'key', 'parent', 'schedule'] as const;

function toEntity(record: JobRecord): Entity {
  const { result, checkpoint, input, children, events, ...rest } = record;
  const { partition, row } = placeOf(record.id);
  const entity: Entity = { partitionKey: partition, rowKey: row, record: JSON.stringify(rest) };
  for (const name of filtered) if (record[name] !== undefined) entity[name] = record[name];
  if (children) entity['children'] = JSON.stringify(children);
  if (events) entity['events'] = JSON.stringify(events);
  for (const [name, kept] of Object.entries({ result, checkpoint, input }))
    if (kept) entity[`${name}${'json' in kept ? 'Json' : 'Blob'}`] = Object.values(kept)[0];
  return entity;
}

function fromEntity(entity: Record<string, unknown>): JobRecord {
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

const isMissing = (error: unknown) => (error as { statusCode?: number }).statusCode === 404;

/** `ready` resolves once the tables are there. */
export function createRecords(table: TableClient, ready: Promise<void>): Records {
  const commit = new GroupCommit(table);
  return {
    async read(id) {
      await ready;
      const { partition, row } = placeOf(id);
      try {
        const entity = await table.getEntity(partition, row);
        return { record: fromEntity(entity), etag: entity.etag };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async readMany(ids) {
      await ready;
      const partitions = new Map<string, string[]>();
      for (const id of ids) {
        const { partition } = placeOf(id);
        const of = partitions.get(partition);
        if (of) of.push(id);
        else partitions.set(partition, [id]);
      }
      const found = await Promise.all([...partitions.values()].map((of) => readOf(table, of)));
      return found.flat();
    },
    async write(record, etag) {
      await ready;
      return { record, etag: await commit.write(toEntity(record), etag) };
    },
    async list(filter, limit, cursor) {
      await ready;
      const listed = table
        .listEntities({ queryOptions: { filter: toOData(filter) } })
        .byPage({ maxPageSize: limit, ...(cursor ? { continuationToken: cursor } : {}) });
      for await (const page of listed) {
        // A page may be empty and still not the last: the service scanned its share in vain.
        if (page.length === 0 && page.continuationToken) continue;
        return { records: page.map(fromEntity), cursor: page.continuationToken };
      }
      return { records: [], cursor: undefined };
    },
  };
}

// A query answers a thousand entities at a time.
const queryFrom = 8;

/** Records of one partition: a few one by one, many by one query. */
async function readOf(table: TableClient, ids: readonly string[]): Promise<JobRecord[]> {
  const places = ids.map(placeOf);
  if (places.length < queryFrom) {
    const read = places.map(({ partition, row }) =>
      table.getEntity(partition, row).then(fromEntity, (error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      }),
    );
    return (await Promise.all(read)).filter((record) => record !== undefined);
  }
  const rows = new Set(places.map(({ row }) => row));
  const filter = odata`PartitionKey eq ${places[0]?.partition ?? ''}`;
  const records: JobRecord[] = [];
  for await (const entity of table.listEntities({ queryOptions: { filter } }))
    if (rows.has(String(entity.rowKey))) records.push(fromEntity(entity));
  return records;
}

function toOData(filter: RecordFilter): string {
  const parts = Object.entries(filter).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${odata`eq ${value}`}`],
  );
  return parts.join(' and ');
}

export function createNotes(table: TableClient, ready: Promise<void>): Notes {
  // Names come from outside and keys must not hold / \ # ?
  const key = (text: string) => encodeURIComponent(text);
  const read = async (kind: string, name: string) => {
    await ready;
    try {
      return String((await table.getEntity(key(kind), key(name)))['value']);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };
  return {
    read,
    async write(kind, name, value) {
      await ready;
      await table.upsertEntity({ partitionKey: key(kind), rowKey: key(name), value }, 'Replace');
    },
    async claim(kind, name, value) {
      await ready;
      try {
        await table.createEntity({ partitionKey: key(kind), rowKey: key(name), value });
        return value;
      } catch (error) {
        if ((error as { statusCode?: number }).statusCode !== 409) throw error;
      }
      const existing = await read(kind, name);
      // Taken a moment ago and removed since: whoever asks again gets it.
      if (existing === undefined) throw new ConflictError(name);
      return existing;
    },
    async replace(kind, name, value, instead) {
      await ready;
      const [partitionKey, rowKey] = [key(kind), key(name)];
      const found = await table.getEntity<{ value: string }>(partitionKey, rowKey);
      if (found.value !== instead) return false;
      try {
        const options = { etag: found.etag };
        await table.updateEntity({ partitionKey, rowKey, value }, 'Replace', options);
        return true;
      } catch (error) {
        if ((error as { statusCode?: number }).statusCode === 412) return false;
        throw error;
      }
    },
  };
}
