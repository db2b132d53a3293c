/** The store on disk: small values in LevelDB, large ones in files beside it. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ClassicLevel } from 'classic-level';
import fc from 'fast-check';
import { openDiskStore } from '#service-bus/store/disk.js';
import type { Change, Store } from '#service-bus/store/journal.js';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';

const fileBytes = 64 * 1024;
const large = (n: number, length = 10_000) => Buffer.alloc(length, n);

async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-disk-'));
  try {
    await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function allOf(store: Store): Promise<Map<string, Buffer>> {
  const all = new Map<string, Buffer>();
  for await (const some of store.read('q/')) for (const [key, value] of some) all.set(key, value);
  return all;
}

const filesIn = async (folder: string) =>
  (await readdir(folder)).filter((name) => name.endsWith('.values')).sort();

const put = (key: string, value: Buffer | undefined): Change => ({ key: `q/b/${key}`, value });

const change = fc.record({ key: fc.nat(9).map(String), bytes: fc.constantFrom(0, 20, 10_000) });
const step = fc.oneof(fc.array(change, { maxLength: 6 }), fc.constant('restart' as const));

describe('the store on disk', () => {
  test('has what was written last, small or large, over restarts, and not much more', () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), (steps) =>
        withFolder(async (folder) => {
          const wanted = new Map<string, Buffer>();
          let store = await openDiskStore(folder, fileBytes);
          let n = 0;
          for (const each of [...steps, 'restart' as const]) {
            if (each === 'restart') {
              await store.close();
              store = await openDiskStore(folder, fileBytes);
              assert.deepEqual(await allOf(store), wanted);
              continue;
            }
            const changes = each.map(({ key, bytes }) =>
              put(key, bytes ? large(n++ % 256, bytes) : undefined),
            );
            await store.write(changes);
            for (const { key, value } of changes)
              if (value) wanted.set(key, value);
              else wanted.delete(key);
          }
          await store.close();
          let bytes = 0;
          for (const name of await filesIn(folder)) bytes += (await stat(join(folder, name))).size;
          assert.ok(bytes <= 4 * 100_000 + 4 * fileBytes, `${bytes} bytes`);
        }),
      ),
      { numRuns: 40 },
    ));

  test('a file of which nothing is used any more goes', () =>
    withFolder(async (folder) => {
      const store = await openDiskStore(folder, fileBytes);
      for (let n = 0; n < 30; n++) await store.write([put(String(n), large(n))]);
      assert.ok((await filesIn(folder)).length > 3);
      for (let n = 0; n < 30; n++) await store.write([put(String(n), undefined)]);
      await store.close();
      assert.ok((await filesIn(folder)).length <= 1);
    }));

  test('what was written to a file and never told of is as if it had not been', () =>
    withFolder(async (folder) => {
      const store = await openDiskStore(folder, fileBytes);
      await store.write([put('1', large(1))]);
      await store.close();
      const db = new ClassicLevel(folder);
      await db.del('!value/q/b/1');
      await db.close();
      const again = await openDiskStore(folder, fileBytes);
      assert.equal((await allOf(again)).size, 0);
      assert.deepEqual(await filesIn(folder), []);
      await again.close();
    }));

  test('a file that lost its end costs what was there, with a warning of how much', () =>
    withFolder(async (folder) => {
      const store = await openDiskStore(folder, fileBytes);
      await store.write([put('1', large(1)), put('2', large(2))]);
      await store.close();
      const [file = ''] = await filesIn(folder);
      await truncate(join(folder, file), 15_000);
      const warnings: string[] = [];
      const listen = ({ message }: Error) => void warnings.push(message);
      process.on('warning', listen);
      const again = await openDiskStore(folder, fileBytes);
      assert.deepEqual([...(await allOf(again)).keys()], ['q/b/1']);
      await again.close();
      await new Promise((resolve) => setImmediate(resolve));
      process.off('warning', listen);
      assert.match(warnings.join(), /lost 10000 bytes: q\/b\/2 cannot be read/);
    }));

  test('the data of the version before are read', () =>
    withFolder(async (folder) => {
      const db = new ClassicLevel<string, Buffer>(folder, { valueEncoding: 'buffer' });
      await db.batch([
        { type: 'put', key: '!format', value: Buffer.from('3') },
        { type: 'put', key: 'q/b/1', value: large(1) },
      ]);
      await db.close();
      const store = await openDiskStore(folder, fileBytes);
      assert.deepEqual(await allOf(store), new Map([['q/b/1', large(1)]]));
      await store.write([put('1', large(2))]);
      assert.deepEqual(await allOf(store), new Map([['q/b/1', large(2)]]));
      await store.close();
    }));
});

test('a delivery is written in a while, or with the end of the broker; one that is settled before never', async () => {
  for (const how of ['while', 'end', 'settled'] as const) {
    const [store, clock] = [keptStore(), movedClock()];
    const first = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
    const { queue } = first.get('q');
    queue.enqueue([content(), content()]);
    await queue.kept();
    const taker = new Taker(1);
    queue.addConsumer(taker);
    await queue.kept();
    const before = store.data.size;
    if (how === 'settled') queue.settle(taker.tokens[0] ?? '', { kind: 'complete' });
    if (how === 'end') await first.close();
    else clock.advance(250);
    await queue.kept();
    // Beside the segment with both messages: the lock of one, or that it is gone.
    const kinds = [...store.data.keys()].slice(before).map((key) => key.slice(0, 4));
    assert.deepEqual(kinds, [how === 'settled' ? 'q/g/' : 'q/b/'], how);
    const again = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
    clock.advance(61_000);
    const next = new Taker();
    again.get('q').queue.addConsumer(next);
    const counts = next.taken.map(({ deliveryCount }) => deliveryCount);
    assert.deepEqual(counts, how === 'settled' ? [0] : [1, 0], how);
    await again.close();
  }
});
