/** `main` of package.json, as Azure's worker reads it. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { findEntryPoints, loadEntryPoint } from '#dev/functions-host/worker/entry-points.js';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'longhaul-entry-'));
  const files = {
    'package.json': '{ "main": "dist/src/{index.js,functions/*.js}" }',
    'dist/src/index.js': 'globalThis.loaded = [typeof require, typeof module];',
    'dist/src/functions/b.js': '',
    'dist/src/functions/a.js': '',
    'dist/src/functions/a.js.map': '',
    'dist/src/functions/deep/c.js': '',
    'dist/src/broken.js': 'throw new Error("as asked");',
    'dist/src/module.mjs': 'globalThis.loaded = import.meta.url;',
  };
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
});
after(() => rm(root, { recursive: true, force: true }));

test('a pattern names files, in the order of their names', async () => {
  assert.deepEqual(await findEntryPoints(root), [
    'dist/src/functions/a.js',
    'dist/src/functions/b.js',
    'dist/src/index.js',
  ]);
  assert.deepEqual(await findEntryPoints(root, './dist/src/index.js'), ['dist/src/index.js']);
  assert.equal((await findEntryPoints(root, 'dist/src/functions/**/*.js')).length, 3);
});

test('what names no file is told', async () => {
  await assert.rejects(findEntryPoints(root, 'dist/*.js'), /no file matches this pattern/);
  await assert.rejects(
    findEntryPoints(root, 'index.js'),
    /there is no such file. Is the app compiled/,
  );
  await assert.rejects(findEntryPoints(root, ''), /package\.json has no main/);
});

const loaded = async (file: string): Promise<unknown> => {
  await loadEntryPoint(root, file);
  return (globalThis as { loaded?: unknown }).loaded;
};

test('a file is loaded as what it is, and one that throws is named', async () => {
  assert.deepEqual(await loaded('dist/src/index.js'), ['function', 'object']);
  assert.match(String(await loaded('dist/src/module.mjs')), /^file:.*module\.mjs$/);
  await assert.rejects(
    loaded('dist/src/broken.js'),
    /dist\/src\/broken\.js cannot be loaded: as asked/,
  );
});
