/** What is published, as whoever installs it has it: from the tarballs alone, in an empty folder. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from '../support/client.ts';
import { freePortSettings } from '../support/port-settings.ts';
import { root } from '../support/stack.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const packages = ['longhaul', 'longhaul-dev', 'longhaul-service-bus', 'create-longhaul'];
const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];

let folder: string;
let app: string;
const tarballs: Record<string, string> = {};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-packages-'));
  app = join(folder, 'my-app');
  for (const name of packages)
    await run('npm', ['pack', '--workspace', name, '--pack-destination', folder], { cwd: root });
  for (const file of await readdir(folder))
    tarballs[file.replace(/-\d.*$/, '')] = `file:${join(folder, file)}`;
});
after(() => rm(folder, { recursive: true, force: true }));

/** The versions that are not published yet. */
async function withTarballs(): Promise<void> {
  const file = join(app, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  const { longhaul, ...others } = tarballs;
  manifest.dependencies.longhaul = longhaul;
  for (const name of ['longhaul-dev', 'longhaul-service-bus'])
    manifest.devDependencies[name] = others[name];
  await writeFile(file, JSON.stringify(manifest));
}

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
  await withTarballs();
  await run('npm', ['install', ...quiet], { cwd: app });
  await run('npm', ['test'], { cwd: app });
  await withApp('start', async (client) => {
    const { id } = await client.submit('greet', { names: ['Ada'] });
    assert.deepEqual((await client.ended(id)).result, { greeted: ['Hello, Ada'] });
  });
  await run('npm', ['run', 'package'], { cwd: app });
  const packed = await readdir(join(app, 'dist/package/dist/functions'));
  assert.deepEqual(packed.sort(), ['index.js', 'index.js.map', 'proto', 'start.js']);
});

/** `longhaul start` or `dev` in the app's folder, while something is tried with it. */
async function withApp(
  command: string,
  act: (client: ReturnType<typeof createClient>, output: () => string) => Promise<void>,
): Promise<void> {
  const ports = await freePortSettings();
  const env = { ...process.env, ...ports };
  const bin = join(app, 'node_modules/longhaul-dev/bin/longhaul.js');
  const started = spawn(process.execPath, [bin, command], { cwd: app, env });
  let output = '';
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (text) => {
      output += text;
    });
  const ended = once(started, 'exit');
  try {
    await until('the stack', () => {
      assert.equal(started.exitCode, null, output);
      return output.includes('Ready in');
    });
    await act(createClient(`http://127.0.0.1:${ports['PORT']}`), () => output);
  } finally {
    started.kill('SIGTERM');
    await ended;
  }
}

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
  await withApp('dev', async (client, output) => {
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
