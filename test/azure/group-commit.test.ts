/** Group commit against Azurite. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TableClient } from '@azure/data-tables';
import { GroupCommit } from '../../functions/azure/group-commit.ts';
import { ConflictError } from '../../functions/errors.ts';
import { testStorage } from '../support/storage.ts';

let storage: Awaited<ReturnType<typeof testStorage>>;
let table: TableClient;

before(async () => {
  storage = await testStorage();
  table = await storage.table('commits');
});
after(() => storage.remove());

const entity = (row: string, value: number) => ({ partitionKey: 'p', rowKey: row, value });

test('each write resolves with the ETag by which it can be replaced', async () => {
  const commit = new GroupCommit(table);
  const rows = Array.from({ length: 250 }, (_, n) => `etag-${n}`);
  const etags = await Promise.all(rows.map((row, n) => commit.write(entity(row, n), undefined)));
  assert.equal(new Set(etags).size > 1, true);
  await Promise.all(rows.map((row, n) => commit.write(entity(row, -n), etags[n])));
  const { value } = await table.getEntity<{ value: number }>('p', 'etag-249');
  assert.equal(value, -249);
});

test('a write that fails does not fail its neighbours, and changes nothing', async () => {
  const commit = new GroupCommit(table);
  await commit.write(entity('taken-7', 1), undefined);
  await commit.write(entity('taken-40', 1), undefined);
  const written = await Promise.allSettled(
    Array.from({ length: 60 }, (_, n) => commit.write(entity(`taken-${n}`, 2), undefined)),
  );
  const failed = written.flatMap((result, n) =>
    result.status === 'rejected' ? [[n, result.reason]] : [],
  );
  assert.deepEqual(
    failed.map(([n]) => n),
    [7, 40],
  );
  for (const [, reason] of failed) assert.ok(reason instanceof ConflictError);
  const { value } = await table.getEntity<{ value: number }>('p', 'taken-7');
  assert.equal(value, 1);
});

test('two writes of one entity keep their order', async () => {
  const commit = new GroupCommit(table);
  const first = commit.write(entity('same', 1), undefined);
  const second = first.then((etag) => commit.write(entity('same', 2), etag));
  const stale = commit.write(entity('same', 3), 'W/"datetime\'2000-01-01T00%3A00%3A00Z\'"');
  await assert.rejects(stale, ConflictError);
  await second;
  assert.equal((await table.getEntity<{ value: number }>('p', 'same')).value, 2);
});

test('a partition has one transaction under way, which the next writes wait for together', async () => {
  let underWay = 0;
  let most = 0;
  let transactions = 0;
  const watched = Object.create(table) as TableClient;
  watched.submitTransaction = async (actions) => {
    transactions++;
    most = Math.max(most, ++underWay);
    try {
      return await table.submitTransaction(actions);
    } finally {
      underWay--;
    }
  };
  const commit = new GroupCommit(watched);
  const written: Promise<string>[] = [];
  for (let n = 0; n < 300; n++) {
    written.push(commit.write(entity(`turn-${n}`, n), undefined));
    if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(written);
  assert.equal(most, 1);
  assert.ok(transactions < 20, `${transactions} transactions for 300 writes`);
});
