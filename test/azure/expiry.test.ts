/** The removal of what has expired, on Azurite. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createBlobs, ownContainer } from '#longhaul/azure/blobs.js';
import { createKeyValueStore } from '#longhaul/azure/key-value-store.js';
import { createRecords } from '#longhaul/azure/records.js';
import { createRemoval } from '#longhaul/azure/removal.js';
import { JobExpiredError, JobNotFoundError } from '#longhaul/errors.js';
import { idOfOccurrence, tableKeyOf } from '#longhaul/model/id.js';
import type { EndedRecord } from '#longhaul/model/job-record.js';
import { removeExpired, withExpiry } from '#longhaul/record/expiry.js';
import { find } from '#longhaul/record/find.js';
import { testStorage } from '../support/storage.ts';

const began = new Date('2026-11-21T12:00:00Z');
const hour = 3_600_000;

let storage: Awaited<ReturnType<typeof testStorage>>;
before(async () => {
  storage = await testStorage();
});
after(() => storage.remove());

async function open(name: string) {
  const tables = await Promise.all(
    ['jobs', 'tombstones', 'notes'].map((kind) => storage.table(name + kind)),
  );
  const [jobs, tombstones, noted] = tables;
  assert.ok(jobs && tombstones && noted);
  await storage.blobs.getContainerClient(ownContainer).createIfNotExists();
  const ready = Promise.resolve();
  const notes = createKeyValueStore(noted, ready);
  let at = began.getTime();
  const clock = { now: () => new Date(at), after: () => () => undefined };
  return {
    notes,
    records: withExpiry(createRecords(jobs, ready), notes, clock),
    removal: createRemoval(jobs, tombstones, ready),
    blobs: createBlobs(storage.blobs, ready),
    clock,
    later: (hours: number) => {
      at = began.getTime() + hours * hour;
    },
  };
}

const ended = (name: string, keptHours: number, more: Partial<EndedRecord> = {}): EndedRecord => ({
  id: idOfOccurrence(name, began),
  type: 't',
  state: 'succeeded',
  lane: 'standard',
  queue: 'standard',
  createdAt: began.toISOString(),
  finishedAt: began.toISOString(),
  keepUntil: new Date(began.getTime() + keptHours * hour).toISOString(),
  attempt: 1,
  turn: 1,
  ...more,
});

test('records, blobs and claims of expired jobs go, the others stay', async () => {
  const app = await open('some');
  const old = ended('old', 1, { claims: 'unique/u1 idempotency-key/k1' });
  const young = ended('young', 48);
  for (const record of [old, young]) {
    await app.records.write(record, undefined);
    await app.blobs.write(`jobs/${record.id}/files/report.csv`, Buffer.from('x'), 'text/csv');
  }
  await app.notes.write('unique', 'u1', old.id);
  // Claimed by another job since.
  await app.notes.write('idempotency-key', 'k1', young.id);
  assert.equal(await removeExpired(app), 0);
  assert.equal((await find(app, old.id)).record.id, old.id);

  app.later(2);
  await assert.rejects(find(app, old.id), JobExpiredError);
  assert.equal(await removeExpired(app), 1);
  assert.equal(await app.records.read(old.id), undefined);
  assert.equal(await app.blobs.read(`jobs/${old.id}/files/report.csv`), undefined);
  assert.ok(await app.blobs.read(`jobs/${young.id}/files/report.csv`));
  assert.equal(await app.notes.read('unique', 'u1'), undefined);
  assert.equal(await app.notes.read('idempotency-key', 'k1'), young.id);
  assert.equal((await find(app, young.id)).record.id, young.id);
  await assert.rejects(find(app, old.id), JobExpiredError);
  await assert.rejects(find(app, idOfOccurrence('never', began)), JobNotFoundError);
});

test('a tombstone says that a job was there, and goes after thirty days', async () => {
  const app = await open('tombstone');
  const old = ended('old', 1);
  await app.records.write(old, undefined);
  app.later(2);
  await removeExpired(app);
  app.later(24 * 29);
  await removeExpired(app);
  await assert.rejects(find(app, old.id), JobExpiredError);
  app.later(24 * 31);
  await removeExpired(app);
  await assert.rejects(find(app, old.id), JobNotFoundError);
});

test('more than a transaction holds go at once, and what was half removed is removed', async () => {
  const app = await open('many');
  const partition = ended('any', 1).id.slice(0, 7);
  const records = Array.from({ length: 250 }, (_, n) => {
    const { id, ...rest } = ended(`${n}`, 1);
    return { ...rest, id: `${partition}abc${id.slice(10)}` };
  });
  await Promise.all(records.map((record) => app.records.write(record, undefined)));
  app.later(2);
  // Another janitor was killed after some of them.
  await app.removal.remove(`${partition}abc`, records.slice(0, 30));
  assert.equal(await removeExpired(app), 220);
  assert.equal(await removeExpired(app), 0);
  await assert.rejects(find(app, records[7]?.id ?? ''), JobExpiredError);
  await assert.rejects(find(app, records[240]?.id ?? ''), JobExpiredError);
});

test('tombstones of a partition go one by one, each thirty days after its job', async () => {
  const app = await open('partition');
  // Ids that senders chose share few partitions for ever.
  const { partition } = tableKeyOf('orders-1');
  const other = Array.from({ length: 100_000 }, (_, n) => `orders-${n}`).find(
    (id) => id !== 'orders-1' && tableKeyOf(id).partition === partition,
  );
  assert.ok(other);
  await app.records.write({ ...ended('x', 1), id: 'orders-1' }, undefined);
  await app.records.write({ ...ended('x', 24 * 20), id: other }, undefined);
  app.later(2);
  await removeExpired(app);
  app.later(24 * 20 + 2);
  await removeExpired(app);
  app.later(24 * 32);
  await removeExpired(app);
  await assert.rejects(find(app, 'orders-1'), JobNotFoundError);
  await assert.rejects(find(app, other), JobExpiredError);
});
