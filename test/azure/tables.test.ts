import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableClient } from '@azure/data-tables';
import { pageOf } from '#longhaul/azure/tables.js';

const tokenOf = (at: number) =>
  Buffer.from(JSON.stringify({ nextPartitionKey: `${at}` })).toString('base64');

/** A table whose pages are empty up to one, each looked through in so many milliseconds. */
function sparse(hitAt: number, msEach: number) {
  let [clock, looked] = [0, 0];
  async function* byPage({ continuationToken }: { continuationToken?: string }) {
    const from = continuationToken
      ? JSON.parse(Buffer.from(continuationToken, 'base64').toString()).nextPartitionKey
      : 0;
    for (let at = Number(from) + 1; at <= hitAt; at++) {
      clock += msEach;
      looked++;
      const page = at < hitAt ? [] : [{ rowKey: 'hit' }];
      yield Object.assign(page, at < hitAt ? { continuationToken: tokenOf(at) } : {});
    }
  }
  const table = { listEntities: () => ({ byPage }) } as unknown as TableClient;
  return { table, now: () => clock, looked: () => looked };
}

test('a list that finds nothing for two seconds says how far it came, and goes on from there', async () => {
  const { table, now, looked } = sparse(10, 500);
  const sizes: number[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf(table, '', 100, cursor, { now });
    sizes.push(page.entities.length);
    ({ cursor } = page);
  } while (cursor);
  assert.deepEqual([sizes, looked()], [[0, 0, 1], 10]);
});

test('quick empty pages are passed over', async () => {
  const { table, now } = sparse(10, 10);
  const { entities, cursor } = await pageOf(table, '', 100, undefined, { now });
  assert.deepEqual([entities, cursor], [[{ rowKey: 'hit' }], undefined]);
});
