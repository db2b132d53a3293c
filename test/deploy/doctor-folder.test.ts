/** `longhaul doctor` of an app that is not deployed: all is well, or the fault that was planted is found. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { examineFolder, folderChecks } from '#dev/deploy/doctor/folder/examine.js';
import { root } from '../support/stack.ts';

const run = promisify(execFile);
const bin = join(root, 'packages/longhaul-dev/bin/longhaul.js');

const manifest = { name: 'app', version: '1.0.0', type: 'module', main: 'dist/index.js' };
const entry = `
import { app } from '@azure/functions';
import { defineJob, registerApp } from 'longhaul';
import { z } from 'zod';
const echo = defineJob({ type: 'echo', input: z.object({}), run: async () => ({}) });
app.http('hello', { methods: ['GET'], route: 'hello', handler: () => ({ body: 'Hello' }) });
registerApp([echo], { topology: new URL('../topology.json', import.meta.url) });
`;

let sound: string;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-doctor-'));
  sound = join(folder, 'sound');
  await mkdir(join(sound, 'dist'), { recursive: true });
  for (const file of ['host.json', 'topology.json', 'bicep'])
    await cp(join(root, file), join(sound, file), { recursive: true });
  await writeFile(join(sound, 'package.json'), JSON.stringify(manifest));
  await writeFile(join(sound, 'dist/index.js'), entry);
  await writeFile(join(sound, '.gitignore'), 'node_modules\ndist\nlocal.settings.json\n');
  await symlink(join(root, 'node_modules'), join(sound, 'node_modules'));
  await run('git', ['init', '--quiet'], { cwd: sound });
});
after(() => rm(folder, { recursive: true, force: true }));

test('an app that is sound has no fault', async () => {
  const findings = await examineFolder(sound, {});
  assert.deepEqual(
    findings.filter(({ state }) => state !== 'ok'),
    [],
  );
  assert.equal(findings.length, folderChecks.length);
});

/** Changes the text of a file, or writes it. */
const edit = (file: string, from: string | RegExp, to: string) => async (app: string) => {
  const path = join(app, file);
  const text = await readFile(path, 'utf8');
  assert.notEqual(text.replace(from, to), text, `${file} has no ${from}`);
  await writeFile(path, text.replace(from, to));
};
const write = (file: string, text: string) => async (app: string) => {
  await mkdir(join(app, file, '..'), { recursive: true });
  await writeFile(join(app, file), text);
};
const settings = (values: object) =>
  write('local.settings.json', JSON.stringify({ Values: values }));
const add = (file: string) => (app: string) => run('git', ['add', '-f', file], { cwd: app });
type Fault = [check: string, found: RegExp, ...plant: ((app: string) => Promise<unknown>)[]];

const faults: Fault[] = [
  [
    'node',
    /asks for >=99/,
    write('package.json', JSON.stringify({ ...manifest, engines: { node: '>=99' } })),
  ],
  ['installed', /longhaul is not installed/, (app) => rm(join(app, 'node_modules'))],
  ['one copy', /there are 0\.9\.0 and 0\.3\.0/, installTwoCopies],
  [
    'main',
    /no file matches this pattern/,
    edit('package.json', 'dist/index.js', 'dist/functions/*.js'),
  ],
  [
    'main',
    /is TypeScript/,
    edit('package.json', 'dist/index.js', 'index.ts'),
    write('index.ts', ''),
  ],
  [
    'topology',
    /no queue bulk-keyed/,
    edit('topology.json', '"name": "bulk-keyed"', '"name": "bulky"'),
  ],
  [
    'topology',
    /standard-keyed needs requiresSession/,
    edit('topology.json', /("name": "standard-keyed",\s*"requiresSession": )true/, '$1false'),
  ],
  [
    'topology',
    /urgent needs requiresDuplicateDetection/,
    edit(
      'topology.json',
      /("name": "urgent",\s*"requiresSession": false,\s*"requiresDuplicateDetection": )true/,
      '$1false',
    ),
  ],
  ['bicep', /no app works heavy/, edit('bicep/main.bicep', "lanes: ['heavy']", 'lanes: []')],
  [
    'bicep',
    /two apps work bulk/,
    edit('bicep/main.bicep', "lanes: ['heavy']", "lanes: ['heavy', 'bulk']"),
  ],
  ['bicep', /2 apps have api: true/, edit('bicep/main.bicep', 'api: false', 'api: true')],
  ['bundle', /its version is \[3/, edit('host.json', '[4.*, 5.0.0)', '[3.*, 4.0.0)')],
  ['time limits', /functionTimeout is 10 minutes/, edit('host.json', '02:15:00', '00:10:00')],
  [
    'time limits',
    /maxAutoLockRenewalDuration is 5 minutes/,
    edit('host.json', '02:10:00', '00:05:00'),
  ],
  [
    'service bus',
    /prefetchCount is 20/,
    edit('host.json', '"prefetchCount": 0', '"prefetchCount": 20'),
  ],
  ['prefix', /routePrefix is ''/, edit('host.json', '"routePrefix": "api"', '"routePrefix": ""')],
  [
    'log levels',
    /Function\.work-bulk\.User is Warning/,
    edit('host.json', '"Function.work-bulk.User": "Information",', ''),
  ],
  ['settings', /LANES: no lane fast/, settings({ LANES: 'standard,fast' })],
  ['settings', /MAX_REQUEST_BYTES/, settings({ MAX_REQUEST_BYTES: 'many' })],
  ['settings', /is dotnet instead of node/, settings({ FUNCTIONS_WORKER_RUNTIME: 'dotnet' })],
  ['git', /local\.settings\.json is in Git/, settings({}), add('local.settings.json')],
  ['git', /\.env is not ignored/, write('.env', 'A=b')],
  [
    'git',
    /a key in parameters\.json, line 1/,
    write('parameters.json', `"AccountKey=${'A'.repeat(86)}=="`),
    add('parameters.json'),
  ],
  [
    'entry',
    /cannot be loaded: Job types are defined wrongly/,
    edit('dist/index.js', "type: 'echo'", "type: ''"),
  ],
  [
    'entry',
    /does it call registerApp/,
    edit('dist/index.js', /registerApp\(.*\);\n/, 'app.setup({ enableHttpStream: true });'),
  ],
  [
    'routes',
    /two functions at GET \/jobs/,
    edit('dist/index.js', "route: 'hello'", "route: 'jobs'"),
  ],
];

/** As npm leaves them without the override. */
async function installTwoCopies(app: string): Promise<void> {
  await rm(join(app, 'node_modules'));
  const put = (path: string, version: string) =>
    write(`node_modules/${path}/package.json`, JSON.stringify({ version }))(app);
  await put('longhaul', '0.1.0');
  await put('@azure/functions', '4.16.5');
  await put('@azure/functions/node_modules/@azure/functions-extensions-base', '0.9.0');
  await put('@azure/functions-extensions-servicebus', '0.2.0');
  await put('@azure/functions-extensions-base', '0.3.0');
}

for (const [check, found, ...plant] of faults)
  test(`${check} finds it: ${found.source}`, async () => {
    const app = await mkdtemp(join(folder, 'app-'));
    await cp(sound, app, { recursive: true, verbatimSymlinks: true });
    for (const step of plant) await step(app);
    // 'main' goes before 'entry', which cannot be asked without it.
    const only = check === 'routes' ? ['main', 'entry', 'routes'] : [check];
    const findings = await examineFolder(app, {}, only);
    const finding = findings.at(-1);
    assert.equal(finding?.state, 'fault', JSON.stringify(findings));
    assert.match(finding.detail, found);
    assert.ok(finding.why && finding.todo);
  });

test('each check has a fault that it finds', () => {
  const missing = folderChecks.filter(({ name }) => !faults.some(([check]) => check === name));
  assert.deepEqual(missing, []);
});

test('the command says what is wrong, why and what to do, by exit code and as JSON', async () => {
  const doctor = (cwd: string, ...args: string[]) =>
    run(process.execPath, [bin, 'doctor', ...args], { cwd }).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    );
  assert.equal((await doctor(sound, '--only', 'topology,bicep')).code, 0);
  const broken = await mkdtemp(join(folder, 'app-'));
  await cp(sound, broken, { recursive: true, verbatimSymlinks: true });
  await edit('host.json', '[4.*, 5.0.0)', '[3.*, 4.0.0)')(broken);
  const told = await doctor(broken, '--only', 'bundle');
  assert.equal(told.code, 1);
  assert.match(told.stdout, /^FAULT .*\n.*its version is.*\n +Why: .*\n +Do: /);
  const [finding] = JSON.parse((await doctor(broken, '--only', 'bundle', '--json')).stdout);
  assert.deepEqual([finding.check, finding.state], ['bundle', 'fault']);
  const nowhere = await doctor(folder);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /has no package\.json: call this in the folder of a Functions app/);
  const unknown = await doctor(sound, '--only', 'tooth');
  assert.deepEqual([unknown.code, /no check tooth/.test(unknown.stderr)], [2, true]);
});
