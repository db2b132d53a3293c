/** A module that an app starts in a thread goes into the package with it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createPackage } from '#dev/deploy/package.js';

const files = {
  'package.json': JSON.stringify({
    ...{ name: 'threads', version: '1.0.0', type: 'module', main: 'dist/index.js' },
    longhaul: { threads: ['dist/thread.js'] },
  }),
  'dist/index.js': `
    import { Worker } from 'node:worker_threads';
    new Worker(new URL('./thread.js', import.meta.url)).on('message', console.log);`,
  'dist/answer.js': 'export const answer = 42;',
  'dist/thread.js': `
    import { parentPort } from 'node:worker_threads';
    import { answer } from './answer.js';
    parentPort.postMessage(answer);`,
  'host.json': '{}',
  'topology.json': '{}',
  '.funcignore': '',
};

test('a thread is bundled beside the app that starts it', async () => {
  const root = await mkdtemp(join(tmpdir(), 'longhaul-threads-'));
  try {
    await mkdir(join(root, 'dist'));
    for (const [file, text] of Object.entries(files)) await writeFile(join(root, file), text);
    await createPackage(join(root, 'package'), root);
    const start = join(root, 'package/dist/start.js');
    assert.equal((await promisify(execFile)(process.execPath, [start])).stdout, '42\n');
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
