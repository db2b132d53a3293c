/** `longhaul init` by its plan: where things go in which layout, what is told, what it refuses. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { addMissing } from '#create/init/json.js';
import { planInit } from '#create/init/plan.js';
import { root } from '../support/stack.ts';
import { filesOfFunc } from './func-app.ts';
import { appOf } from './init-app.ts';

const tsconfig = (options: object) =>
  JSON.stringify({ compilerOptions: { strict: true, ...options } });
const files = (manifest: object, options: object, sources: string[]) => ({
  'package.json': JSON.stringify(manifest),
  'host.json': '{ "version": "2.0" }',
  'tsconfig.json': tsconfig(options),
  ...Object.fromEntries(sources.map((file) => [file, 'export {};'])),
});

const inDist = { outDir: 'dist', rootDir: '.' };
for (const [layout, manifest, options, sources, entry, jobs, topology, byHand] of [
  [
    'func of today',
    { main: 'dist/src/{index.js,functions/*.js}' },
    inDist,
    ['src/functions/a.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../../topology.json',
  ],
  [
    'func of before',
    { main: 'dist/src/functions/*.js' },
    inDist,
    ['src/functions/a.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../../topology.json',
  ],
  [
    'rootDir src',
    { main: 'dist/functions/*.js' },
    { outDir: './dist', rootDir: './src' },
    ['src/functions/a.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../topology.json',
  ],
  [
    'no rootDir',
    { main: 'dist/functions/*.js' },
    { outDir: 'dist' },
    ['src/functions/a.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../topology.json',
  ],
  [
    'no main',
    {},
    inDist,
    ['src/functions/a.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../../topology.json',
  ],
  [
    'one file',
    { main: 'dist/src/index.js' },
    inDist,
    ['src/index.ts'],
    'src/longhaul.ts',
    'src/jobs',
    '../../topology.json',
    /^src\/index\.ts: add the line/,
  ],
  [
    'functions at the top',
    { main: 'dist/functions/index.js' },
    inDist,
    ['functions/index.ts'],
    'functions/longhaul.ts',
    'functions/jobs',
    '../../topology.json',
    /^functions\/index\.ts: add the line/,
  ],
  [
    'a folder for each function',
    { main: 'dist/src/functions/*/index.js' },
    inDist,
    ['src/functions/a/index.ts'],
    'src/functions/longhaul.ts',
    'src/jobs',
    '../../../topology.json',
    /main loads no dist\/src\/functions\/longhaul\.js/,
  ],
] as const)
  test(`${layout}: the registration goes where the app loads it, or its import is asked for`, async () => {
    const plan = await planInit(await appOf(files(manifest, options, [...sources])));
    const written = plan.writes.find(({ file }) => file === entry);
    assert.ok(written, plan.writes.map(({ file }) => file).join());
    assert.ok(written.text.includes(`'${topology}'`), written.text);
    assert.ok(plan.writes.some(({ file }) => file === `${jobs}/catalogue.ts`));
    const asked = plan.byHand.filter((line) => /add the line|main loads no/.test(line));
    assert.equal(asked.length, byHand ? 1 : 0, asked.join());
    if (byHand) assert.match(asked[0] ?? '', byHand);
    const { main } = JSON.parse(
      plan.writes.find(({ file }) => file === 'package.json')?.text ?? '',
    );
    assert.equal(main, 'main' in manifest ? manifest.main : 'dist/src/functions/*.js');
  });

test('what the app says otherwise stays, and is told where it matters', async () => {
  const app = await appOf({
    ...filesOfFunc,
    'host.json': `{
  // A comment stays.
  "version": "2.0",
  "functionTimeout": "00:10:00",
  "extensions": { "serviceBus": { "prefetchCount": 100 }, "queues": { "batchSize": 1 } }
}`,
    'package.json': JSON.stringify({
      main: 'dist/src/functions/*.js',
      dependencies: { '@azure/functions': '~4.5.0', zod: '^4.0.0' },
      devDependencies: { typescript: '^4.0.0' },
    }),
    'tsconfig.json': tsconfig({ ...inDist, module: 'node16' }),
    'pnpm-lock.yaml': '',
  });
  const { writes, byHand } = await planInit(app);
  const host = writes.find(({ file }) => file === 'host.json')?.text ?? '';
  for (const kept of [
    '// A comment stays.',
    '"functionTimeout": "00:10:00"',
    '"prefetchCount": 100',
  ])
    assert.ok(host.includes(kept), host);
  const manifest = JSON.parse(writes.find(({ file }) => file === 'package.json')?.text ?? '');
  assert.equal(manifest.dependencies['@azure/functions'], '~4.5.0');
  assert.equal(manifest.devDependencies.typescript, '^4.0.0');
  for (const told of [
    /functionTimeout is "00:10:00" and was left.*the host ends every job/,
    /prefetchCount is 100 and was left/,
    /@azure\/functions is ~4\.5\.0, Longhaul needs/,
    /typescript is \^4\.0\.0, Longhaul needs/,
    /"module": "node16"/,
    /pnpm\.overrides/,
  ])
    assert.ok(
      byHand.some((line) => told.test(line)),
      `${told} in ${byHand.join('\n')}`,
    );
});

test('an app that registers Longhaul already gets no second registration', async () => {
  const app = await appOf({ ...filesOfFunc, 'src/mine.ts': 'registerApp([], { topology: {} });' });
  const { writes, left } = await planInit(app);
  assert.ok(!writes.some(({ file }) => file.startsWith('src/')));
  assert.ok(left.includes('src/mine.ts: registers Longhaul already'));
});

test('what is no app is refused with what to do, and nothing is written', async () => {
  const longhaul = (app: string) =>
    promisify(execFile)(process.execPath, [
      join(root, 'packages/longhaul-dev/bin/longhaul.js'),
      'init',
      app,
    ]);
  for (const [without, why] of [
    ['host.json', /has no host\.json: give the folder of a Functions app/],
    ['tsconfig.json', /has no tsconfig\.json: init writes TypeScript/],
  ] as const) {
    const app = await appOf(filesOfFunc);
    await rm(join(app, without));
    const before = await readdir(app, { recursive: true });
    await assert.rejects(longhaul(app), { code: 2, stderr: why });
    assert.deepEqual(await readdir(app, { recursive: true }), before);
  }
  const broken = await appOf({ ...filesOfFunc, 'host.json': '{ "version": ' });
  await assert.rejects(longhaul(broken), { code: 2, stderr: /^host\.json is no JSON object/ });
});

test('a file keeps its indentation, and what it has', () => {
  const { text, added, conflicts } = addMissing('a.json', '{\n\t"a": 1,\n\t"b": { "c": 2 }\n}\n', {
    a: 1,
    b: { c: 3, d: 4 },
    e: [5],
  });
  assert.deepEqual(added, ['b.d', 'e']);
  assert.deepEqual(conflicts, [{ path: 'b.c', have: 2, want: 3 }]);
  assert.deepEqual(JSON.parse(text), { a: 1, b: { c: 2, d: 4 }, e: [5] });
  assert.match(text, /^\t"e"/m);
});
