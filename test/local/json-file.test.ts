import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson } from '#dev/json-file.js';

test('host.json and settings may have comments, commas at the end and a byte order mark', () => {
  const text = '\uFEFF{\n  // ours\n  "version": "2.0", /* both */\n}';
  assert.deepEqual(parseJson(text, 'host.json'), { version: '2.0' });
});

test('what is no JSON is told with its file and line', () => {
  assert.throws(
    () => parseJson('{\n  "a": 1,\n  b\n}', 'host.json'),
    /^Error: host\.json, line 3: /,
  );
  assert.throws(() => parseJson('', 'host.json'), /host\.json, line 1/);
});
