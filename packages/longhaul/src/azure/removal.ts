/** Expired records, and the tombstones that say so for a while. */
import { odata, type TableClient } from '@azure/data-tables';
import { tableKeyOf } from '../model/id.ts';
import type { EndedRecord, EndState } from '../model/job-record.ts';
import type { Removal } from '../ports.ts';
import { fromEntity, withoutInput } from './record-entity.ts';
import { isMissing } from './status.ts';
import { inTransactions } from './tables.ts';

interface Tombstone {
  removedAt: string;
  state?: EndState;
}

export function createRemoval(
  table: TableClient,
  tombstones: TableClient,
  ready: Promise<void>,
): Removal {
  return {
    async expired(partition, now) {
      await ready;
      const filter = odata`PartitionKey eq ${partition} and keepUntil le ${now.toISOString()}`;
      const queryOptions = { filter, select: withoutInput };
      const found: EndedRecord[] = [];
      for await (const entity of table.listEntities({ queryOptions }))
        found.push(fromEntity(entity) as EndedRecord);
      return found;
    },
    async remove(partition, records) {
      await ready;
      const entities = records.map(({ id, keepUntil: removedAt, state }) => ({
        partitionKey: partition,
        rowKey: tableKeyOf(id).row,
        removedAt,
        state,
      }));
      // The tombstones first: killed here, the records are removed next time.
      await inTransactions(
        tombstones,
        entities.map((entity) => ['upsert', entity, 'Replace']),
      );
      await inTransactions(
        table,
        entities.map((entity) => ['delete', entity]),
      );
    },
    async removed(id) {
      await ready;
      const { partition, row } = tableKeyOf(id);
      try {
        const { removedAt, state } = await tombstones.getEntity<Tombstone>(partition, row);
        return { at: removedAt, state };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async forget(partition, before) {
      await ready;
      const queryOptions = {
        filter: odata`PartitionKey eq ${partition} and removedAt le ${before.toISOString()}`,
        select: ['PartitionKey', 'RowKey'],
      };
      const rows: { partitionKey: string; rowKey: string }[] = [];
      for await (const { partitionKey = '', rowKey = '' } of tombstones.listEntities({
        queryOptions,
      }))
        rows.push({ partitionKey, rowKey });
      await inTransactions(
        tombstones,
        rows.map((row) => ['delete', row]),
      );
    },
  };
}
