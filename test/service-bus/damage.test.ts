/** A data folder that was hurt: what can be read is kept, with a warning, never a crash. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { ClassicLevel } from 'classic-level';
import { start } from '#service-bus/start.js';

const queues = [{ name: 'q' }];
const sent = 20;

async function withFolder(
  hurt: (folder: string) => Promise<void>,
  check: (kept: number, warnings: string[]) => void | Promise<void>,
) {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-damage-'));
  const warnings: string[] = [];
  const listen = ({ message }: Error) => void warnings.push(message);
  process.on('warning', listen);
  try {
    await use(folder, async (client) => {
      const sender = client.createSender('q');
      for (let n = 0; n < sent; n++) await sender.sendMessages({ body: 'x'.repeat(500) });
    });
    await hurt(folder);
    let kept = 0;
    await use(folder, async (client) => {
      kept = (await client.createReceiver('q').peekMessages(100)).length;
      await client.createSender('q').sendMessages({ body: 'still works' });
    });
    await check(kept, warnings);
  } finally {
    process.off('warning', listen);
    await rm(folder, { recursive: true, force: true });
  }
}

async function use(folder: string, act: (client: ServiceBusClient) => Promise<void>) {
  const broker = await start({ queues, data: folder });
  const client = new ServiceBusClient(broker.connectionString);
  try {
    await act(client);
  } finally {
    await client.close();
    await broker.close();
  }
}

const fileOf = async (folder: string, pattern: RegExp) => {
  const name = (await readdir(folder)).find((file) => pattern.test(file));
  assert.ok(name);
  return join(folder, name);
};

test('a tail that is torn costs the last write only', () =>
  withFolder(
    async (folder) => {
      const log = await fileOf(folder, /\.log$/);
      await truncate(log, (await stat(log)).size - 100);
    },
    (kept) => assert.equal(kept, sent - 1),
  ));

test('rubbish behind the end costs nothing', () =>
  withFolder(
    async (folder) => appendFile(await fileOf(folder, /\.log$/), Buffer.alloc(300, 7)),
    (kept) => assert.equal(kept, sent),
  ));

test('a part that cannot be read is dropped, with a warning of how much', () =>
  withFolder(
    async (folder) => {
      const file = await fileOf(folder, /\.log$/);
      const handle = await open(file, 'r+');
      await handle.write(Buffer.alloc(300, 7), 0, 300, (await stat(file)).size - 300);
      await handle.close();
    },
    (kept, warnings) => {
      assert.equal(kept, sent - 1);
      assert.match(warnings.join('\n'), /lost \d+ bytes/);
    },
  ));

test('a damaged index is made anew from the tables, with a warning', () =>
  withFolder(
    async (folder) => truncate(await fileOf(folder, /^MANIFEST/), 10),
    (kept, warnings) => {
      assert.equal(kept, sent);
      assert.match(warnings.join('\n'), /is damaged .*: repairing it/);
    },
  ));

test('the data of another version, and of a broker that runs, are refused with what to do', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-format-'));
  try {
    const db = new ClassicLevel(folder);
    await db.put('!format', '1');
    await db.close();
    await assert.rejects(start({ queues, data: folder }), /has format 1, .*move the folder away/);
    await rm(folder, { recursive: true });
    const broker = await start({ queues, data: folder });
    await assert.rejects(start({ queues, data: folder }), /Another process uses the data/);
    await broker.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
