/** The files of a created app, without installing it. */
import assert from 'node:assert/strict';
import { exec } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { satisfies } from 'semver';
import { createApp } from '#create/template.js';
import { appOf } from './init-app.ts';

test('npm test runs the tests of every folder, and fails if one fails', async () => {
  const app = join(await appOf({}), 'my-app');
  await createApp(app);
  const { scripts, engines } = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
  const [build, ...rest] = scripts.test.split(' && ');
  assert.equal(build, 'tsc');
  assert.ok(!satisfies('22.11.0', engines.node) && satisfies('22.12.0', engines.node));
  const source = await readFile(join(app, 'test/run.ts'), 'utf8');
  const { code } = await transform(source, { loader: 'ts', format: 'esm' });
  const passes = `import { test } from 'node:test'; test('passes', () => {});`;
  const fails = passes.replace('{}', '{ throw new Error(); }');
  // A runner within a runner runs nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = async (tests: Record<string, string>) => {
    const files = { 'package.json': '{ "type": "module" }', 'dist/test/run.js': code, ...tests };
    return promisify(exec)(rest.join(' && '), { cwd: await appOf(files), env });
  };
  const fine = { 'dist/test/a.test.js': passes, 'dist/test/jobs/b.test.js': passes };
  assert.match((await run(fine)).stdout, /pass 2\n/);
  await assert.rejects(run({ ...fine, 'dist/test/jobs/deep/c.test.js': fails }), { code: 1 });
  await assert.rejects(run({ 'dist/test/jobs/d.js': passes }), /There is no \*\.test\.js/);
});

test('what is not deployed: sources, tests, and what is of this machine', async () => {
  const app = join(await appOf({}), 'my-app');
  await createApp(app);
  const lines = (await readFile(join(app, '.funcignore'), 'utf8')).trim().split('\n');
  for (const line of ['.longhaul', 'local.settings.json', '*.ts', 'test', '.git*'])
    assert.ok(lines.includes(line), line);
});
