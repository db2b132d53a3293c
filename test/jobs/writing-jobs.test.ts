/** The code of the pages on jobs is that of the files beside this one, which are compiled and run. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { entrySource } from '#create/init/sources.js';
import { readTopology } from '#longhaul/model/topology.js';

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, root), 'utf8');

/** A block of a page, by the file that its first line names. */
async function shown(page: string, name: string): Promise<string | undefined> {
  const [, rest = ''] = (await read(`docs/${page}`)).split(`\`\`\`ts\n// ${name}\n`);
  return rest.split('```')[0];
}

// The page, the name there, the file here, and how it imports another one there.
const blocks: [page: string, name: string, file: string, imports?: Record<string, string>][] = [
  ['writing-jobs.md', 'functions/jobs/welcome.ts', 'test/jobs/welcome.ts'],
  [
    'testing-jobs.md',
    'test/jobs/welcome.test.ts',
    'test/jobs/welcome.test.ts',
    { './welcome.ts': '../../functions/jobs/welcome.ts' },
  ],
  ['testing-jobs.md', 'functions/jobs/order.ts', 'examples/order.ts'],
  [
    'testing-jobs.md',
    'test/jobs/order.test.ts',
    'test/jobs/order.test.ts',
    { '../../examples/order.ts': '../../functions/jobs/order.ts' },
  ],
  ['settings-and-clients.md', 'functions/settings.ts', 'test/jobs/settings.ts'],
  [
    'settings-and-clients.md',
    'functions/mailer.ts',
    'test/jobs/mailer.ts',
    { './welcome.ts': './jobs/welcome.ts' },
  ],
  [
    'settings-and-clients.md',
    'functions/index.ts',
    'test/jobs/app-index.ts',
    { './welcome.ts': './jobs/welcome.ts' },
  ],
  ['cpu-bound.md', 'functions/threads.ts', 'test/jobs/threads.ts'],
  ['cpu-bound.md', 'functions/count-primes.ts', 'test/jobs/count-primes.ts'],
  [
    'cpu-bound.md',
    'functions/jobs/primes.ts',
    'test/jobs/primes.ts',
    { './threads.ts': '../threads.ts' },
  ],
  [
    'cpu-bound.md',
    'test/jobs/primes.test.ts',
    'test/jobs/primes.test.ts',
    { './primes.ts': '../../functions/jobs/primes.ts' },
  ],
];
for (const [page, name, file, imports = {}] of blocks)
  test(`${page} shows ${name} as it runs`, async () => {
    let code = await read(file);
    for (const [from, to] of Object.entries(imports)) code = code.replace(`'${from}'`, `'${to}'`);
    assert.equal(await shown(page, name), code);
  });

test('your-app.md shows the registrations that init writes', async () => {
  const inCommonJs = { entry: 'src/functions/longhaul.ts', jobs: 'src/jobs' };
  assert.equal(
    await shown('your-app.md', inCommonJs.entry),
    entrySource({ ...inCommonJs, topology: '../../../topology.json' }, false),
  );
  const inModules = { entry: 'src/longhaul.ts', jobs: 'src/jobs' };
  assert.equal(
    await shown('your-app.md', inModules.entry),
    entrySource({ ...inModules, topology: '../topology.json' }, true),
  );
});

test('the lane of your-app.md fits the topology, beside the others', async () => {
  const [, rest = ''] = (await read('docs/your-app.md')).split('## Lanes of your own');
  const own = JSON.parse(/```json\n([^`]*)```/.exec(rest)?.[1] ?? '');
  const topology = JSON.parse(await read('topology.json'));
  const merged = readTopology({
    ...topology,
    lanes: [...topology.lanes, ...own.lanes],
    queues: [...topology.queues, ...own.queues],
  });
  const like = (name: string) => ({
    ...topology.queues.find((one: object) => 'name' in one && one.name === name),
  });
  for (const queue of own.queues)
    assert.deepEqual(
      { ...queue, name: '' },
      { ...like(queue.name.replace('gpu', 'bulk')), name: '' },
    );
  assert.ok(merged.lanes.some(({ name }) => name === 'gpu'));
});
