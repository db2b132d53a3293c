/** Job records in Table storage. */
import { odata, type TableClient } from '@azure/data-tables';
import { partitionsBetween, tableKeyOf } from '../model/id.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { RecordFilter } from '../ports.ts';
import { GroupCommit } from './group-commit.ts';
import { grouped } from './grouped.ts';
import type { ListedRecords } from './places.ts';
import { fromEntity, tagColumn, toEntity, withoutInput } from './record-entity.ts';
import { isMissing } from './status.ts';
import { firstOf, pageOf } from './tables.ts';

/** `ready` resolves once the tables are there. */
export function createRecords(table: TableClient, ready: Promise<void>): ListedRecords {
  const commit = new GroupCommit(table);
  return {
    async read(id) {
      await ready;
      const { partition, row } = tableKeyOf(id);
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
      const partitions = grouped(ids, (id) => tableKeyOf(id).partition);
      const found = await Promise.all([...partitions.values()].map((of) => readOf(table, of)));
      return found.flat();
    },
    async write(record, etag) {
      await ready;
      return { record, etag: await commit.write(toEntity(record), etag) };
    },
    async list(filter, limit, cursor) {
      await ready;
      const page = await pageOf(table, toOData(filter), limit, cursor, { select });
      return { records: page.entities.map(fromEntity), cursor: page.cursor };
    },
    async listAfter(filter, limit, id) {
      await ready;
      const { partition, row } = id === undefined ? { partition: '', row: '' } : tableKeyOf(id);
      const behind = odata`(PartitionKey gt ${partition} or (PartitionKey eq ${partition} and RowKey gt ${row}))`;
      const all = [toOData(filter), behind].filter((part) => part !== '').join(' and ');
      return (await firstOf(table, all, limit, select)).map(fromEntity);
    },
  };
}

const select = withoutInput;

// A query answers a thousand entities at a time.
const queryFrom = 8;

/** Records of one partition: a few one by one, many by one query. */
async function readOf(table: TableClient, ids: readonly string[]): Promise<JobRecord[]> {
  const places = ids.map(tableKeyOf);
  if (places.length < queryFrom) {
    const read = places.map(({ partition, row }) =>
      table
        .getEntity(partition, row, { queryOptions: { select } })
        .then(fromEntity, (error: unknown) => {
          if (isMissing(error)) return undefined;
          throw error;
        }),
    );
    return (await Promise.all(read)).filter((record) => record !== undefined);
  }
  const rows = new Set(places.map(({ row }) => row));
  const filter = odata`PartitionKey eq ${places[0]?.partition ?? ''}`;
  const records: JobRecord[] = [];
  for await (const entity of table.listEntities({ queryOptions: { filter, select } }))
    if (rows.has(String(entity.rowKey))) records.push(fromEntity(entity));
  return records;
}

function toOData({ from, to, states = [], ...filter }: RecordFilter): string {
  const { first, before } = partitionsBetween(from, to);
  const range = [
    ...(first === undefined ? [] : [odata`PartitionKey ge ${first}`]),
    ...(before === undefined ? [] : [odata`PartitionKey lt ${before}`]),
  ];
  const parts = Object.entries(filter).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [`${name === 'tag' ? tagColumn(value) : name} ${odata`eq ${value}`}`],
  );
  const any = states.map((state) => odata`state eq ${state}`).join(' or ');
  return [...range, ...parts, ...(any ? [`(${any})`] : [])].join(' and ');
}
