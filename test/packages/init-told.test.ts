/** What `longhaul init` cannot or must not change in an app it tells, each time until it is mended. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { init } from '#create/init/init.js';
import { planInit } from '#create/init/plan.js';
import { filesOfFunc } from './func-app.ts';
import { appOf } from './init-app.ts';

const plainly = { module: 'commonjs', target: 'es6', outDir: 'dist', rootDir: '.', strict: true };
const tsconfig = (options: object) => JSON.stringify({ compilerOptions: options });
const manifest = (more: object) =>
  JSON.stringify({ ...JSON.parse(filesOfFunc['package.json'] ?? ''), ...more });

async function toldOf(files: Record<string, string>, below = ''): Promise<string> {
  return (await planInit(join(await appOf(files), below))).byHand.join('\n');
}

for (const [title, root, path, isTold] of [
  ['a list', { workspaces: ['packages/*'] }, 'packages/fn', true],
  ['packages in an object', { workspaces: { packages: ['./apps/**/'] } }, 'apps/a/fn', true],
  ['not this one', { workspaces: ['packages/*', '!packages/fn'] }, 'packages/fn', false],
  ['another folder', { workspaces: ['apps/*'] }, 'packages/fn', false],
  ['none', {}, 'packages/fn', false],
] as const)
  test(`in a workspace (${title}) the overrides are of its root`, async () => {
    const within = Object.entries(filesOfFunc).map(([file, text]) => [`${path}/${file}`, text]);
    const at = await appOf({ 'package.json': JSON.stringify(root), ...Object.fromEntries(within) });
    const { writes, byHand } = await planInit(join(at, path));
    const { overrides } = JSON.parse(
      writes.find(({ file }) => file === 'package.json')?.text ?? '',
    );
    const told = byHand.filter((line) => line.includes('the root of the workspace'));
    assert.equal(told.length, isTold ? 1 : 0, byHand.join('\n'));
    assert.equal(overrides === undefined, isTold);
    if (!isTold) return;
    const up = path.replace(/[^/]+/g, '..');
    assert.ok(told[0]?.startsWith(`${up}/package.json: `), told[0]);
    assert.ok(
      told[0]?.includes(
        '"overrides": { "@azure/functions-extensions-servicebus": { "@azure/functions-extensions-base": "0.3.0" } }',
      ),
      told[0],
    );
    assert.match(told[0] ?? '', /npm update @azure\/functions-extensions-base/);
    assert.ok(byHand.indexOf(told[0] ?? '') < byHand.indexOf('npm install'), byHand.join('\n'));
  });

test('a workspace whose root has the overrides is told nothing of them', async () => {
  const overrides = {
    '@azure/functions-extensions-servicebus': { '@azure/functions-extensions-base': '0.3.0' },
  };
  const within = Object.entries(filesOfFunc).map(([file, text]) => [`fn/${file}`, text]);
  const root = JSON.stringify({ workspaces: ['fn'], overrides });
  const told = await toldOf({ 'package.json': root, ...Object.fromEntries(within) }, 'fn');
  assert.doesNotMatch(told, /workspace/);
});

for (const [title, options, devDependencies, installed, isTold] of [
  ['TypeScript 5', {}, { typescript: '^5.0.0' }, undefined, true],
  ['5 installed, any asked for', {}, { typescript: '>=5.5' }, '5.9.3', true],
  ['7 installed, any asked for', {}, { typescript: '>=5.5' }, '7.0.2', false],
  ['TypeScript 6', {}, { typescript: '^6.0.0' }, undefined, false],
  ['none, so it gets 7', {}, {}, undefined, false],
  ['it is on', { esModuleInterop: true }, { typescript: '^5.0.0' }, undefined, false],
  ['libraries are skipped', { skipLibCheck: true }, { typescript: '^5.0.0' }, undefined, false],
  ['modules of Node', { module: 'nodenext' }, { typescript: '^5.0.0' }, undefined, false],
  ['it is extended', { extends: './base' }, { typescript: '^5.0.0' }, undefined, false],
] as const)
  test(`what the compiler needs for zod 4 is told where it is needed: ${title}`, async () => {
    const { extends: base, ...rest } = options as { extends?: string };
    const told = await toldOf({
      ...filesOfFunc,
      'tsconfig.json': JSON.stringify({
        extends: base,
        compilerOptions: { ...plainly, ...rest },
      }),
      'base.json': tsconfig({ esModuleInterop: true, outDir: 'elsewhere' }),
      'package.json': manifest({ devDependencies }),
      ...(installed && {
        'node_modules/typescript/package.json': JSON.stringify({ version: installed }),
      }),
    });
    assert.equal(/"esModuleInterop": true/.test(told), isTold, told);
  });

test('a catalogue or a topology that is of something else is told, each time', async () => {
  const app = await appOf({
    ...filesOfFunc,
    'src/jobs/catalogue.ts': 'export const books = [];\n// export const\n',
    'topology.json': '{ "nodes": [] }',
  });
  for (const said of [/^Written:/, /^Nothing more to write\./]) {
    const told = await init(app);
    assert.match(told, said);
    const byHand = told.split('By hand:')[1] ?? '';
    assert.match(byHand, /src\/jobs\/catalogue\.ts: was there before, and exports no `catalogue`/);
    assert.match(byHand, /topology\.json: was there before, and is not Longhaul's/);
  }
  assert.equal(await readFile(join(app, 'topology.json'), 'utf8'), '{ "nodes": [] }');
});

test('a catalogue of Longhaul is left, however it is exported', async () => {
  for (const text of [
    'export const catalogue = [];',
    'const catalogue = []; export { a, catalogue };',
    "export { all as catalogue } from './all.js';",
    "export * from './all.js';",
  ]) {
    const told = await toldOf({ ...filesOfFunc, 'src/jobs/catalogue.ts': text });
    assert.doesNotMatch(told, /catalogue/, text);
  }
});

test('settings of the host that stay and matter are told', async () => {
  const hostOf = (host: object) =>
    toldOf({ ...filesOfFunc, 'host.json': JSON.stringify({ version: '2.0', ...host }) });
  const told = await hostOf({
    logging: null,
    extensions: { serviceBus: { autoCompleteMessages: false, maxConcurrentCalls: 16 } },
  });
  for (const line of [
    /logging is null and was left\. Longhaul is made for an object, .*: the host writes two lines/,
    /autoCompleteMessages is false and was left\. Longhaul is made for true: nobody answers/,
    /maxConcurrentCalls is 16 and was left\. Longhaul is made for 32: so many jobs/,
  ])
    assert.match(told, line);
  assert.match(await hostOf({ extensions: 'x' }), /extensions is "x" and was left/);
});

test('what must not be deployed or committed is added to the lists that are there', async () => {
  const app = await appOf({ ...filesOfFunc, '.gitignore': '/dist/\r\n**/node_modules/\r\nmine' });
  await init(app);
  const textOf = (file: string) => readFile(join(app, file), 'utf8');
  assert.equal(await textOf('.funcignore'), `${filesOfFunc['.funcignore']}.longhaul\n`);
  assert.equal(
    await textOf('.gitignore'),
    '/dist/\r\n**/node_modules/\r\nmine\r\n.longhaul\r\nlocal.settings.json\r\n',
  );
});
