/** Small values by name, in Table storage. */
import { odata, type TableClient } from '@azure/data-tables';
import { ConflictError } from '../errors.ts';
import { isClaimOf } from '../model/claim.ts';
import type { KeyValueStore } from '../ports.ts';
import { isChanged, isMissing, isThere } from './status.ts';
import { pageOf } from './tables.ts';

// Names come from outside, and keys must not hold / \ # ?. Nor %: the service may decode a key twice. The
// order of names that differ in letters, digits, - and : alone stays.
const key = (text: string) => encodeURIComponent(text).replaceAll('~', '%7E').replaceAll('%', '~');
const nameOf = (key: string) => decodeURIComponent(key.replaceAll('~', '%'));

export function createKeyValueStore(table: TableClient, ready: Promise<void>): KeyValueStore {
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
        if (!isThere(error)) throw error;
      }
      const existing = await read(kind, name);
      // Taken a moment ago and removed since: whoever asks again gets it.
      if (existing === undefined) throw new ConflictError(name);
      return existing;
    },
    async replace(kind, name, value, instead) {
      await ready;
      const [partitionKey, rowKey] = [key(kind), key(name)];
      try {
        const found = await table.getEntity<{ value: string }>(partitionKey, rowKey);
        if (found.value !== instead) return false;
        const options = { etag: found.etag };
        await table.updateEntity({ partitionKey, rowKey, value }, 'Replace', options);
        return true;
      } catch (error) {
        // Written by another, or gone: it is no longer `instead`.
        if (isChanged(error) || isMissing(error)) return false;
        throw error;
      }
    },
    async remove(kind, name, id) {
      await ready;
      const [partitionKey, rowKey] = [key(kind), key(name)];
      try {
        const found = await table.getEntity<{ value: string }>(partitionKey, rowKey);
        if (id !== undefined && !isClaimOf(found.value, id)) return;
        await table.deleteEntity(partitionKey, rowKey, { etag: found.etag });
      } catch (error) {
        // Gone already, or claimed by another meanwhile.
        if (!isMissing(error) && !isChanged(error)) throw error;
      }
    },
    async list(kind, before) {
      await ready;
      const filter = odata`PartitionKey eq ${key(kind)} and RowKey lt ${key(before)}`;
      const names: string[] = [];
      const queryOptions = { filter, select: ['RowKey'] };
      for await (const { rowKey = '' } of table.listEntities({ queryOptions }))
        names.push(nameOf(rowKey));
      return names;
    },
    async after(kind, name) {
      await ready;
      const filter = odata`PartitionKey eq ${key(kind)} and RowKey gt ${key(name)}`;
      const { entities } = await pageOf(table, filter, 1000, undefined);
      return entities.map(({ rowKey, value }) => ({
        name: nameOf(String(rowKey)),
        value: String(value),
      }));
    },
  };
}
