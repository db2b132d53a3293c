/** The code of docs/writing-jobs.md is that of the files beside this one, which are compiled and run. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, root), 'utf8');

for (const [name, file, from, to] of [
  ['functions/jobs/welcome.ts', 'welcome.ts', 'longhaul', 'longhaul'],
  [
    'test/jobs/welcome.test.ts',
    'welcome.test.ts',
    './welcome.ts',
    '../../functions/jobs/welcome.ts',
  ],
  ['functions/jobs/order.ts', '../../examples/order.ts', 'longhaul', 'longhaul'],
  [
    'test/jobs/order.test.ts',
    'order.test.ts',
    '../../examples/order.ts',
    '../../functions/jobs/order.ts',
  ],
] as const)
  test(`the page shows ${name} as it runs`, async () => {
    const page = await read('docs/writing-jobs.md');
    const [, shown = ''] = page.split(`\`\`\`ts\n// ${name}\n`);
    const [code] = shown.split('```');
    assert.equal(code, (await read(`test/jobs/${file}`)).replace(`'${from}'`, `'${to}'`));
  });
