/** What `npm run package` makes runs by itself: nothing of it comes from this folder's node_modules. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { createPackage } from '#dev/deploy/package.js';
import { createClient } from '../support/client.ts';
import { root, testStack } from '../support/stack.ts';

const run = promisify(execFile);
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-package-'));
  await createPackage(folder, root);
});
after(() => rm(folder, { recursive: true, force: true }));

test('holds the bundle, its map, the host file and the topology; no tests, no sources, no settings', async () => {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((file) => !file.startsWith('node_modules/'));
  assert.deepEqual(files.sort(), [
    '.funcignore',
    'dist/functions/index.js',
    'dist/functions/index.js.map',
    'dist/functions/proto/settlement.proto',
    'dist/functions/start.js',
    'host.json',
    'package-lock.json',
    'package.json',
    'topology.json',
  ]);
  const map = JSON.parse(await readFile(join(folder, 'dist/functions/index.js.map'), 'utf8'));
  assert.ok(map.sources.some((source: string) => source.endsWith('longhaul/src/run/execute.ts')));
  assert.equal(map.sourcesContent, undefined);
});

test('a stack trace names the lines of the sources, without an argument of Node', async () => {
  const load = [join(folder, 'dist/functions/start.js')];
  // No setting is set, so the app says so and does not start.
  const failed = await run(process.execPath, load, { env: {} }).catch((error) => error);
  assert.match(failed.stderr, /longhaul\/src\/settings\.ts:\d+/);
});

test('runs jobs, one of them with native code', async () => {
  const stack = await testStack({ root: folder, main: 'dist/functions/start.js' });
  try {
    const client = createClient(stack.url);
    const image = await sharp({
      create: { width: 8, height: 8, channels: 3, background: 'red' },
    })
      .png()
      .toBuffer();
    const inputs = {
      report: { data: 'city,price\nDelft,10\n', groupBy: ['city'] },
      thumbnail: { image: image.toString('base64'), width: 4 },
    };
    for (const [type, input] of Object.entries(inputs)) {
      const done = await client.post({ type, input }, { prefer: 'wait=30' });
      assert.equal(done.status, 200, await done.clone().text());
    }
  } finally {
    await stack.remove();
  }
});
