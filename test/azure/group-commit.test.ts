/** Group commit against Azurite. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TableClient, TransactionAction } from '@azure/data-tables';
import { GroupCommit } from '#longhaul/azure/group-commit.js';
import { ConflictError } from '#longhaul/errors.js';
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

/** The table, with what each of its transactions has. */
function watched() {
  const transactions: TransactionAction[][] = [];
  const singles: string[] = [];
  let underWay = 0;
  const seen = { transactions, singles, most: 0 };
  const during = async <T>(work: Promise<T>): Promise<T> => {
    seen.most = Math.max(seen.most, ++underWay);
    return work.finally(() => underWay--);
  };
  const client = Object.create(table) as TableClient;
  client.submitTransaction = (actions) => {
    transactions.push(actions);
    return during(table.submitTransaction(actions));
  };
  client.createEntity = (one) => {
    singles.push(String(one['rowKey']));
    return during(table.createEntity(one));
  };
  client.updateEntity = (one, ...how) => {
    singles.push(String(one['rowKey']));
    return during(table.updateEntity(one, ...how));
  };
  return { commit: new GroupCommit(client), seen };
}

test('a partition has one transaction under way, which the next writes wait for together', async () => {
  const { commit, seen } = watched();
  const written: Promise<string>[] = [];
  for (let n = 0; n < 300; n++) {
    written.push(commit.write(entity(`turn-${n}`, n), undefined));
    if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(written);
  assert.equal(seen.most, 1);
  assert.ok(seen.transactions.length < 20, `${seen.transactions.length} for 300 writes`);
});

test('a transaction has as many entities as the service takes, and no more', async () => {
  const { commit, seen } = watched();
  await Promise.all(
    Array.from({ length: 250 }, (_, n) => commit.write(entity(`full-${n}`, n), undefined)),
  );
  assert.deepEqual(
    seen.transactions.map(({ length }) => length),
    [100, 100, 50],
  );
  assert.deepEqual(seen.singles, []);
});

test('a transaction stays below four mebibytes', async () => {
  const { commit, seen } = watched();
  const text = 'x'.repeat(30_000);
  const large = (n: number) =>
    Object.assign(
      entity(`large-${n}`, n),
      ...Array.from({ length: 10 }, (_, m) => ({ [`t${m}`]: text })),
    );
  await Promise.all(Array.from({ length: 20 }, (_, n) => commit.write(large(n), undefined)));
  const bytes = seen.transactions.map((actions) => JSON.stringify(actions).length * 2);
  assert.ok(Math.max(...bytes) < 4 * 1024 * 1024, `${bytes}`);
  assert.ok(seen.transactions.length <= 5, 'and is not sent for one entity');
});

test('what stands or falls together is in one transaction, though others fill it', async () => {
  const { commit, seen } = watched();
  const unit = (from: number): TransactionAction[] =>
    Array.from({ length: 60 }, (_, n) => ['create', entity(`unit-${from + n}`, n)]);
  const [first, second] = await Promise.all([commit.transact(unit(0)), commit.transact(unit(60))]);
  assert.deepEqual([first.length, second.length, seen.transactions.length], [60, 60, 2]);
  const etag = await commit.write(entity('unit-alone', 1), undefined);
  await commit.write(entity('unit-alone', 2), etag);
  assert.equal(seen.transactions.length, 2, 'one change needs no transaction');
  assert.deepEqual(seen.singles, ['unit-alone', 'unit-alone']);
});

test('a unit that fails takes none of its changes with it, and no other unit', async () => {
  const { commit } = watched();
  await commit.write(entity('whole-1', 1), undefined);
  const create = (row: string): TransactionAction => ['create', entity(row, 2)];
  const [failed, kept] = await Promise.allSettled([
    commit.transact([create('whole-0'), create('whole-1')]),
    commit.transact([create('whole-2'), create('whole-3')]),
  ]);
  assert.ok(failed.status === 'rejected' && failed.reason instanceof ConflictError);
  assert.equal(kept.status, 'fulfilled');
  await assert.rejects(table.getEntity('p', 'whole-0'), { statusCode: 404 });
  assert.equal((await table.getEntity<{ value: number }>('p', 'whole-3')).value, 2);
});

test('an entity is not twice in a transaction', async () => {
  const { commit, seen } = watched();
  const writes = [1, 2].map((n) => commit.write(entity('twice', n), undefined));
  const beside = commit.write(entity('beside', 1), undefined);
  const [first, second] = await Promise.allSettled(writes);
  await beside;
  assert.deepEqual([first?.status, second?.status], ['fulfilled', 'rejected']);
  assert.ok(seen.transactions.every((actions) => actions.length <= 2));
});
