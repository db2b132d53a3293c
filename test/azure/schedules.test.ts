/** Schedules and notes in tables, on Azurite, when two change the same at the same time. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TableClient } from '@azure/data-tables';
import { createKeyValueStore } from '#longhaul/azure/key-value-store.js';
import { createSchedules } from '#longhaul/azure/schedules.js';
import { ConflictError } from '#longhaul/errors.js';
import type { Schedule } from '#longhaul/model/schedule.js';
import { retryOnConflict } from '#longhaul/record/retry-on-conflict.js';
import { testStorage } from '../support/storage.ts';

let storage: Awaited<ReturnType<typeof testStorage>>;
before(async () => {
  storage = await testStorage();
});
after(() => storage.remove());

const schedule: Schedule = {
  id: 's',
  type: 't',
  input: {},
  at: '2026-11-21T13:00:00.000Z',
  overlap: 'skip',
  misfire: 'once',
  enabled: true,
  createdAt: '2026-11-21T12:00:00.000Z',
  nextAt: '2026-11-21T13:00:00.000Z',
  counts: { runs: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 },
  history: [],
};
const ready = Promise.resolve();
const saltOf = async (id: string) => `salt of ${id}`;

/** The table, with something done before its next deletion. */
function withBefore(table: TableClient, act: () => Promise<void>): TableClient {
  let done = false;
  return new Proxy(table, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]) => {
        if (name === 'deleteEntity' && !done) {
          done = true;
          await act();
        }
        return value.apply(target, given) as unknown;
      };
    },
  });
}

const dueNow = async (all: ReturnType<typeof createSchedules>) => {
  const ids: string[] = [];
  for await (const some of all.due(new Date('2026-11-22T00:00:00Z'))) ids.push(...some);
  return ids;
};

test('a schedule that is made while the one before it is removed stays', async () => {
  const table = await storage.table('remade');
  const other = createSchedules(table, ready, saltOf);
  // The PUT comes between the mark and the deletion.
  const removing = createSchedules(
    withBefore(table, async () => {
      assert.equal(await other.read('s'), undefined);
      await other.write(schedule, undefined);
    }),
    ready,
    saltOf,
  );
  await removing.write(schedule, undefined);
  const stored = await removing.read('s');
  assert.ok(stored);
  await removing.remove(stored);
  assert.deepEqual((await other.read('s'))?.schedule, schedule);
  assert.deepEqual(await dueNow(other), ['s']);
});

test('a due time that was left behind does not keep a schedule from being made', async () => {
  const table = await storage.table('leftbehind');
  const schedules = createSchedules(table, ready, saltOf);
  await schedules.write(schedule, undefined);
  const stored = await schedules.read('s');
  assert.ok(stored);
  // As the race above left it: the schedule gone, its due row not.
  for await (const { partitionKey = '', rowKey = '' } of table.listEntities())
    if (rowKey.startsWith('s:')) await table.deleteEntity(partitionKey, rowKey);
  assert.deepEqual(await dueNow(schedules), ['s']);
  await schedules.write(schedule, undefined);
  assert.deepEqual((await schedules.read('s'))?.schedule, schedule);
});

test('who meets another writer each time gives up in the end', async () => {
  let tries = 0;
  await assert.rejects(
    retryOnConflict(async () => {
      tries++;
      throw new ConflictError('s');
    }),
    ConflictError,
  );
  assert.equal(tries, 100);
});

test('the name of a note may hold anything, and names of times keep their order', async () => {
  const table = await storage.table('names');
  const notes = createKeyValueStore(table, ready);
  const odd = ['a/b', 'a\\b', '100%', '%2F', '~25', 'a#b?c', 'ünï 漢', '~', "it's"];
  for (const name of odd) await notes.write('odd kind/%~', name, name);
  for (const name of odd) assert.equal(await notes.read('odd kind/%~', name), name);
  const found = await notes.after('odd kind/%~', '');
  assert.deepEqual(found.map(({ name }) => name).sort(), [...odd].sort());
  for await (const { partitionKey, rowKey } of table.listEntities())
    assert.doesNotMatch(`${partitionKey}${rowKey}`, /[%/\\#?]/);
  const times = ['09:59:59.999', '10:00:00.000', '10:00:00.001'].map((at) => `2026-11-21T${at}Z_x`);
  for (const name of times.toReversed()) await notes.write('times', name, '');
  assert.deepEqual(await notes.list('times', times[2] ?? ''), times.slice(0, 2));
});

test('a note that has just gone is replaced by nobody', async () => {
  const notes = createKeyValueStore(await storage.table('gone'), ready);
  assert.equal(await notes.replace('kind', 'name', 'new', 'old'), false);
  await notes.write('kind', 'name', 'old');
  assert.equal(await notes.replace('kind', 'name', 'new', 'old'), true);
  assert.equal(await notes.read('kind', 'name'), 'new');
});
