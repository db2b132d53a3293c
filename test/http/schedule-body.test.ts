import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patched, toDefinition } from '#longhaul/http/schedule-body.js';

// RFC 7396, appendix A: original, patch, result. Of those whose result can be an input.
const vectors: [unknown, unknown, unknown][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

test('PATCH of a schedule is a JSON merge patch at every depth, its input included', () => {
  for (const [input, patch, result] of vectors) {
    const definition = toDefinition({ type: 't', cron: '0 0 * * *', input, tenant: 'a' });
    const after = patched(definition, { input: patch, tenant: null });
    assert.deepEqual(after, toDefinition({ type: 't', cron: '0 0 * * *', input: result }));
  }
});

test('a patch reaches no prototype', () => {
  const definition = toDefinition({ type: 't', cron: '0 0 * * *', input: {} });
  const patch = JSON.parse('{"input":{"__proto__":{"polluted":1}}}') as unknown;
  patched(definition, patch);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});
