/**
 * Schedules in Table storage. Beside each stands an entity that names it by the time at which somebody
 * has to look at it: sorted by time, so that a look reads what is due, and in the same partition, so
 * that both change in one transaction.
 */
import { createHash } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import { type Schedule, wakeAt } from '../model/schedule.ts';
import type { ScheduleFilter, Schedules } from '../ports.ts';
import { GroupCommit } from './group-commit.ts';
import { isChanged, isMissing } from './status.ts';
import { pageOf } from './tables.ts';

// Read one by one at each look; each takes some 2,000 changes a second.
const shards = Array.from({ length: 16 }, (_, shard) => shard.toString(16));

const shardOf = (id: string) => createHash('sha256').update(id).digest('hex').slice(0, 1);
const rowOf = (id: string) => `s:${id}`;
const dueRow = (at: string, id: string) => `d:${at}:${id}`;
// An ISO time has colons of its own.
const idOfDueRow = (row: string) => row.slice('d:2026-11-21T00:00:00.000Z:'.length);

function toEntity(schedule: Schedule) {
  const { id, type, tenant, enabled } = schedule;
  return {
    partitionKey: shardOf(id),
    rowKey: rowOf(id),
    schedule: JSON.stringify(schedule),
    type,
    enabled,
    ...(tenant === undefined ? {} : { tenant }),
  };
}

const fromEntity = (entity: Record<string, unknown>) =>
  JSON.parse(String(entity['schedule'])) as Schedule;

export function createSchedules(
  table: TableClient,
  ready: Promise<void>,
  saltOf: Schedules['saltOf'],
): Schedules {
  const commit = new GroupCommit(table);
  return {
    saltOf,
    async read(id) {
      await ready;
      try {
        const entity = await table.getEntity(shardOf(id), rowOf(id));
        if (!entity['removed']) return { schedule: fromEntity(entity), etag: entity.etag };
        await deleteMarked(table, id, entity.etag);
        return undefined;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async write(schedule, stored) {
      await ready;
      const entity = toEntity(schedule);
      await commit.transact([
        stored ? ['update', entity, 'Replace', { etag: stored.etag }] : ['create', entity],
        ...moveDue(schedule.id, stored && wakeAt(stored.schedule), wakeAt(schedule)),
      ]);
    },
    async remove({ schedule, etag }) {
      await ready;
      const { id } = schedule;
      const row = { partitionKey: shardOf(id), rowKey: rowOf(id) };
      // A deletion in a transaction takes no ETag, an update does. Killed after it, whoever reads the
      // schedule next removes what is left.
      const [marked = ''] = await commit.transact([
        ['update', { ...row, removed: true }, 'Replace', { etag }],
        ...moveDue(id, wakeAt(schedule), undefined),
      ]);
      await deleteMarked(table, id, marked);
    },
    async *due(until) {
      await ready;
      for (const shard of shards) yield await dueOf(table, shard, until);
    },
    async list(filter, limit, cursor) {
      await ready;
      const page = await pageOf(table, toOData(filter), limit, cursor);
      const there = page.entities.filter((entity) => !entity['removed']);
      return { schedules: there.map(fromEntity), cursor: page.cursor };
    },
  };
}

/** Only what was marked: a schedule of the same name may have been made since. */
async function deleteMarked(table: TableClient, id: string, etag: string): Promise<void> {
  try {
    await table.deleteEntity(shardOf(id), rowOf(id), { etag });
  } catch (error) {
    if (!isMissing(error) && !isChanged(error)) throw error;
  }
}

function moveDue(
  id: string,
  from: string | undefined,
  to: string | undefined,
): TransactionAction[] {
  if (from === to) return [];
  const at = (time: string) => ({ partitionKey: shardOf(id), rowKey: dueRow(time, id) });
  return [
    ...(from ? [['delete', at(from)] as TransactionAction] : []),
    // One that somebody left behind says the same.
    ...(to ? [['upsert', at(to), 'Replace'] as TransactionAction] : []),
  ];
}

async function dueOf(table: TableClient, shard: string, until: Date): Promise<string[]> {
  const before = dueRow(new Date(until.getTime() + 1).toISOString(), '');
  const filter = odata`PartitionKey eq ${shard} and RowKey ge ${'d:'} and RowKey lt ${before}`;
  const ids: string[] = [];
  const queryOptions = { filter, select: ['RowKey'] };
  for await (const { rowKey = '' } of table.listEntities({ queryOptions }))
    ids.push(idOfDueRow(rowKey));
  return ids;
}

function toOData({ type, tenant, enabled }: ScheduleFilter): string {
  return [
    odata`RowKey ge ${'s:'}`,
    odata`RowKey lt ${'s;'}`,
    ...(type === undefined ? [] : [odata`type eq ${type}`]),
    ...(tenant === undefined ? [] : [odata`tenant eq ${tenant}`]),
    ...(enabled === undefined ? [] : [odata`enabled eq ${enabled}`]),
  ].join(' and ');
}
