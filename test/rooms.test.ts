/** Which way the library's imports go: `docs/architecture.md`, "The tree". */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { test } from 'node:test';
import { root } from './support/stack.ts';

// From below to above. What lies beside them in the folder is for all.
const rooms = [
  ...['model', 'define', 'record', 'fate', 'admit', 'schedules', 'handler', 'wait', 'run'],
  'operate',
];
const mostFiles = 14;

const source = join(root, 'packages/longhaul/src');
const files = (readdirSync(source, { recursive: true }) as string[]).filter((file) =>
  file.endsWith('.ts'),
);
const roomOf = (file: string) => file.split('/').at(-2) ?? '';
const importsOf = (file: string) =>
  [...readFileSync(join(source, file), 'utf8').matchAll(/ from '(\.[^']+)'/g)].map(([, path]) =>
    normalize(join(file, '..', path ?? '')),
  );

test('a room of the library uses only rooms below it', () => {
  const upward = files.flatMap((file) =>
    importsOf(file)
      .filter((used) => rooms.includes(roomOf(file)) && rooms.includes(roomOf(used)))
      .filter((used) => rooms.indexOf(roomOf(used)) > rooms.indexOf(roomOf(file)))
      .map((used) => `${file} uses ${used}`),
  );
  assert.deepEqual(upward, []);
});

test('nothing that is deployed uses what is there for tests', () => {
  const using = files
    .filter((file) => !file.startsWith('testing/'))
    .filter((file) => importsOf(file).some((used) => used.startsWith('testing/')));
  assert.deepEqual(using, []);
});

test('no room of the rules is too full to be seen at once', () => {
  for (const room of rooms) {
    const { length } = files.filter((file) => roomOf(file) === room);
    assert.ok(length > 0 && length <= mostFiles, `${room} has ${length}`);
  }
});
