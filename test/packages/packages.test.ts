/** What is published, as whoever installs it has it: from the tarballs alone, in an empty folder. */
import assert from 'node:assert/strict';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import type { createClient } from '../support/client.ts';
import { until } from '../support/until.ts';
import { filesOfFunc, httpTrigger } from './func-app.ts';
import { nameTarballs, pack, packages, quiet, run, type Tarballs, withApp } from './installed.ts';

let folder: string;
let app: string;
let tarballs: Tarballs;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-packages-'));
  app = join(folder, 'my-app');
  tarballs = await pack(folder);
});
after(() => rm(folder, { recursive: true, force: true }));

test('a tarball has its build, its types, a licence and a README, and no sources', async () => {
  for (const name of packages) {
    const { stdout } = await run('tar', ['-tzf', String(tarballs[name]).slice('file:'.length)]);
    const files = stdout.trim().split('\n');
    for (const needed of ['package/package.json', 'package/README.md', 'package/LICENSE'])
      assert.ok(files.includes(needed), `${name}: ${needed}`);
    assert.ok(
      files.some((file) => file.endsWith('.d.ts')),
      name,
    );
    const strange = files.filter(
      (file) => /\.tsbuildinfo$|\/src\/|node_modules/.test(file) && !file.includes('/template/'),
    );
    assert.deepEqual(strange, [], name);
  }
});

test('creates an app, which compiles, passes its test, runs a job and is packed', async () => {
  const tools = join(folder, 'tools');
  await run('npm', ['install', '--prefix', tools, ...quiet, String(tarballs['create-longhaul'])]);
  const create = join(tools, 'node_modules/.bin/create-longhaul');
  await run(create, [app, '--yes']);
  await assert.rejects(run(create, [app, '--yes']), /is not empty/);
  await nameTarballs(app, tarballs);
  await run('npm', ['install', ...quiet], { cwd: app });
  await run('npm', ['test'], { cwd: app });
  await withApp(app, 'start', async (client) => {
    const { id } = await client.submit('greet', { names: ['Ada'] });
    assert.deepEqual((await client.ended(id)).result, { greeted: ['Hello, Ada'] });
  });
  await run('npm', ['run', 'package'], { cwd: app });
  const packed = await readdir(join(app, 'dist/package/dist/functions'));
  assert.deepEqual(packed.sort(), ['index.js', 'index.js.map', 'proto', 'start.js']);
});

const slowly = (greeting: string) => `
import { defineJob } from 'longhaul';
import { z } from 'zod';
export const greet = defineJob({
  type: 'greet',
  input: z.object({ name: z.string(), steps: z.number() }),
  async run({ name, steps }, job) {
    for (let n = 0; n < steps; n++)
      await job.step(\`step \${n}\`, () => new Promise<number>((done) => setTimeout(() => done(n), 100)));
    return { said: \`${greeting}, \${name}\`, attempt: job.attempt };
  },
});
`;

test('while it is developed, what is saved is served, and what cannot be served changes nothing', async () => {
  const file = join(app, 'functions/jobs/greet.ts');
  const said = async (client: ReturnType<typeof createClient>) => {
    const { id } = await client.submit('greet', { name: 'Eve', steps: 0 });
    return ((await client.ended(id)).result as { said: string }).said;
  };
  // Its test is of another job.
  await rm(join(app, 'test'), { recursive: true });
  await writeFile(file, slowly('Hello'));
  await withApp(app, 'dev', async (client, output) => {
    const underWay = await client.submit('greet', { name: 'Ada', steps: 60 });
    await until('it runs', async () => (await client.get(underWay.id)).state === 'running');
    await writeFile(file, slowly('Good day'));
    await until('the new one', async () => (await said(client)) === 'Good day, Eve');
    // Its steps are not done again, and it counts as the same attempt.
    assert.deepEqual((await client.ended(underWay.id)).result, {
      said: 'Good day, Ada',
      attempt: 1,
    });
    await writeFile(file, slowly('Oh').replace('steps: 60', '').replace('{ name,', '{ nam,'));
    await until('the error', () => output().includes('error TS'));
    assert.equal(await said(client), 'Good day, Eve');
    await writeFile(file, slowly('Oh').replace("type: 'greet'", "type: ''"));
    await until('what is wrong', () => output().includes('Job types are defined wrongly'));
    assert.equal(await said(client), 'Good day, Eve');
  });
});

test('an app as func makes it (TypeScript, CommonJS) gets Longhaul by init, beside its own trigger', async () => {
  const existing = join(folder, 'func-app');
  await writeAll(existing, filesOfFunc);
  const init = (...args: string[]) =>
    run(join(app, 'node_modules/.bin/longhaul'), ['init', existing, ...args]);
  const before = await filesOf(existing);
  assert.match((await init('--dry-run')).stdout, /^Would write:\n +package\.json: added/);
  assert.deepEqual(await filesOf(existing), before);
  assert.match((await init()).stdout, /^Written:(.*\n)+By hand:\n +npm install\n/);
  const written = await filesOf(existing);
  assert.match((await init()).stdout, /^Nothing more to write/);
  assert.deepEqual(await filesOf(existing), written);
  assert.equal(written['src/functions/hello.ts'], before['src/functions/hello.ts']);

  // What the app before has installed: an install takes longer than all else here.
  await symlink(join(app, 'node_modules'), join(existing, 'node_modules'));
  // The compiler of func's template; `npm run package` below compiles with the app's, of today.
  const compiler = join(folder, 'typescript-5');
  await run('npm', ['install', '--prefix', compiler, ...quiet, 'typescript@5.9.3']);
  await run(join(compiler, 'node_modules/.bin/tsc'), { cwd: existing });
  await withApp(existing, 'start', answersAndWorks);
  // Several entry points, in CommonJS: what is deployed is one bundle for each, and it runs.
  await run('npm', ['run', 'package'], { cwd: existing });
  // Where it finds no packages but its own.
  const deployed = join(folder, 'deployed');
  await rename(join(existing, 'dist/package'), deployed);
  await withApp(deployed, 'start', answersAndWorks, existing);
});

test('an app of ES modules with one entry point gets it too, with one line by hand', async () => {
  const existing = join(folder, 'esm-app');
  const manifest = { type: 'module', main: 'dist/index.js', scripts: { build: 'tsc' } };
  await writeAll(existing, {
    'package.json': JSON.stringify(manifest),
    'tsconfig.json': JSON.stringify({
      compilerOptions: { module: 'nodenext', outDir: 'dist', rootDir: 'src', strict: true },
    }),
    'host.json': '{ "version": "2.0", "extensions": { "http": { "routePrefix": "v1" } } }',
    'src/index.ts': `import './hello.js';\n`,
    'src/hello.ts': httpTrigger,
  });
  const { stdout } = await run(join(app, 'node_modules/.bin/longhaul'), ['init', existing]);
  assert.match(stdout, /host\.json: extensions\.http\.routePrefix is "v1" and was left/);
  assert.match(stdout, /src\/index\.ts: add the line {2}import '\.\/longhaul\.js';/);
  await writeFile(
    join(existing, 'src/index.ts'),
    `import './hello.js';\nimport './longhaul.js';\n`,
  );
  await writeFile(join(existing, 'host.json'), '{ "version": "2.0" }');
  await symlink(join(app, 'node_modules'), join(existing, 'node_modules'));
  await run('npm', ['run', 'build'], { cwd: existing });
  await withApp(existing, 'start', answersAndWorks);
});

async function answersAndWorks(client: ReturnType<typeof createClient>): Promise<void> {
  assert.equal(await (await client.call('/hello?name=Ada')).text(), 'Hello, Ada!');
  const { id } = await client.submit('greet', { names: ['Ada'] });
  assert.deepEqual((await client.ended(id)).result, { greeted: ['Hello, Ada'] });
}

async function writeAll(at: string, files: Record<string, string>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(at, file)), { recursive: true });
    await writeFile(join(at, file), text);
  }
}

async function filesOf(at: string): Promise<Record<string, string>> {
  const entries = await readdir(at, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const texts = files.map(async (entry) => {
    const file = join(entry.parentPath, entry.name);
    return [relative(at, file), await readFile(file, 'utf8')] as const;
  });
  return Object.fromEntries(await Promise.all(texts));
}
