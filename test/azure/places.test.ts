/** Which account keeps what, and lists over several. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createClients } from '#longhaul/azure/clients.js';
import { blobsOf, inEach, recordsOf, spread } from '#longhaul/azure/places.js';
import { createRecords } from '#longhaul/azure/records.js';
import { createIdMaker, idOfOccurrence, madeIn, tableKeyOf } from '#longhaul/model/id.js';
import type { JobRecord } from '#longhaul/model/job-record.js';
import type { Blobs } from '#longhaul/ports.js';
import { readSettings } from '#longhaul/settings.js';
import { fc } from '../support/properties.ts';
import { testStorage } from '../support/storage.ts';

const from = (time: string) => Date.parse(time);
const places = [
  { from: from('2027-01-01T00:00:00Z'), accounts: ['main', 'b'] },
  { from: from('2028-01-01T00:00:00Z'), accounts: ['b', 'c', 'd'] },
];

describe('the account of a job', () => {
  const accounts = spread(places, (name) => name);
  const of = (id: string) => accounts.of(tableKeyOf(id).partition);

  test('follows from its id: when it was made, and in which shard', () => {
    const allowed = (at: number) =>
      places.findLast((one) => one.from <= Math.floor(at / 10_000) * 10_000)?.accounts ?? ['main'];
    fc.assert(
      fc.property(
        fc.date({ min: new Date('2026-06-01'), max: new Date('2029-01-01'), noInvalidDate: true }),
        (at) => {
          const id = createIdMaker(randomBytes)(at);
          const made = madeIn(tableKeyOf(id).partition);
          assert.equal(made?.at, Math.floor(at.getTime() / 10_000) * 10_000);
          assert.ok(allowed(at.getTime()).includes(of(id)));
          assert.equal(of(id), of(id));
        },
      ),
    );
  });

  test('is each of them for about as many', () => {
    const counts = new Map<string, number>();
    for (let n = 0; n < 3_000; n++) {
      const account = of(createIdMaker(randomBytes)(new Date('2028-06-01')));
      counts.set(account, (counts.get(account) ?? 0) + 1);
    }
    assert.deepEqual([...counts.keys()].sort(), ['b', 'c', 'd']);
    for (const count of counts.values()) assert.ok(count > 800, String(count));
  });

  test('is the main one for an id that a sender chose', () => {
    for (const id of ['order-1', '~x', 'a:b']) assert.equal(of(id), 'main');
  });

  test('does not change when accounts are added later', () => {
    const before = spread(places.slice(0, 1), (name) => name);
    const id = createIdMaker(randomBytes)(new Date('2027-06-01'));
    assert.equal(before.of(tableKeyOf(id).partition), of(id));
  });

  test('is that of its blobs too', async () => {
    const written: string[] = [];
    const blobs = blobsOf(
      spread(places, (account) => ({
        write: async (name: string) => void written.push(`${account} ${name.split('/')[1]}`),
      })) as never,
    ) as Blobs;
    const ids = [new Date('2026-07-01'), new Date('2027-07-01'), new Date('2028-07-01')].map((at) =>
      createIdMaker(randomBytes)(at),
    );
    for (const id of ids) await blobs.write(`jobs/${id}/input.json`, Buffer.alloc(0), 'text/plain');
    await blobs.write('jobs/~abc/input.json', Buffer.alloc(0), 'text/plain');
    assert.deepEqual(written, [...ids.map((id) => `${of(id)} ${id}`), 'main ~abc']);
  });
});

describe('records over two accounts', () => {
  let storage: Awaited<ReturnType<typeof testStorage>>;
  before(async () => {
    storage = await testStorage();
  });
  after(() => storage?.remove());

  test('are read, written and listed as one, newest first', async () => {
    const ready = Promise.resolve();
    const tables = new Map([
      ['main', await storage.table('placesmain')],
      ['b', await storage.table('placesb')],
    ]);
    const spreadOver = spread([{ from: 0, accounts: ['main', 'b'] }], (name) => ({
      records: createRecords(tables.get(name) ?? assert.fail(), ready),
    }));
    const records = recordsOf(inEach(spreadOver, 'records'));
    const made = Array.from({ length: 60 }, (_, n) => {
      const at = new Date(Date.UTC(2026, 5, 1, 0, n));
      return { id: idOfOccurrence(`job ${n}`, at), type: n % 3 ? 'a' : 'b' };
    });
    for (const one of made)
      await records.write(
        {
          ...one,
          ...{ state: 'queued', lane: 'standard', queue: 'standard', attempt: 1, turn: 1 },
          createdAt: '2026-06-01T00:00:00.000Z',
        } as JobRecord,
        undefined,
      );
    const counts = [];
    for (const table of tables.values()) {
      let count = 0;
      for await (const _ of table.listEntities()) count++;
      counts.push(count);
    }
    assert.ok(
      counts.every((count) => count > 10),
      counts.join(' and '),
    );
    const newest = made.map(({ id }) => id).reverse();
    assert.equal((await records.read(newest[0] ?? ''))?.record.id, newest[0]);
    assert.equal((await records.readMany(newest)).length, 60);
    for (const limit of [1, 7, 20, 60, 100])
      for (const type of [undefined, 'a', 'b']) {
        const listed: string[] = [];
        let cursor: string | undefined;
        let pages = 0;
        do {
          const page = await records.list({ type }, limit, cursor);
          listed.push(...page.records.map(({ id }) => id));
          cursor = page.cursor;
          pages++;
        } while (cursor);
        const wanted = made.filter((one) => !type || one.type === type).map(({ id }) => id);
        assert.deepEqual(listed, wanted.reverse(), `by ${limit}`);
        assert.ok(pages <= Math.ceil(wanted.length / limit) + 1);
      }
    await assert.rejects(records.list({}, 10, 'x'), /cursor cannot be read/);
  });
});

test('settings that name no places are told', () => {
  const given = (text: string) => () =>
    readSettings({ ServiceBus: 'x', AzureWebJobsStorage: 'y', DATA_PLACES: text });
  const entry = (from: string, ...accounts: string[]) => ({ from, accounts });
  const [early, late] = ['2027-01-01T00:00:00Z', '2028-01-01T00:00:00Z'];
  for (const [text, why] of [
    ['{', /is no JSON/],
    [JSON.stringify([entry('tomorrow', 'main')]), /DATA_PLACES/],
    [JSON.stringify([entry(early)]), /DATA_PLACES/],
    [JSON.stringify([entry(early, 'No Account')]), /neither the name/],
    [JSON.stringify([entry(late, 'main'), entry(early, 'main')]), /order of its times/],
  ] as const)
    assert.throws(given(text), why);
  assert.equal(given(JSON.stringify([entry(early, 'main', 'st2')]))().DATA_PLACES.length, 1);
});

test('a lane on a bus without a setting is told, with what to set', async () => {
  const given = { ServiceBus: 'Endpoint=sb://a;SharedAccessKeyName=b;SharedAccessKey=Yw==' };
  const clients = (more: object) =>
    createClients(readSettings({ ...given, AzureWebJobsStorage: 'y=', ...more }));
  assert.throws(() => clients({}).serviceBus('b'), /set ServiceBus_b or ServiceBus_b__fully/);
  const known = clients({ ServiceBus_b__fullyQualifiedNamespace: 'b.servicebus.windows.net' });
  assert.equal(known.serviceBus('b').fullyQualifiedNamespace, 'b.servicebus.windows.net');
  assert.equal(known.serviceBus('b'), known.serviceBus('b'));
  for (const bus of [undefined, 'b']) await known.serviceBus(bus).close();
});
