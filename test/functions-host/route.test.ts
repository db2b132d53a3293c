import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRoute } from '#dev/functions-host/host/route.js';

const rows: [template: string, path: string, params: Record<string, string> | undefined][] = [
  ['api/jobs', '/api/jobs', {}],
  ['api/jobs', '/api/jobs/', {}],
  ['api/jobs', '/api/job', undefined],
  ['api/jobs/{id}', '/api/jobs/a%20b', { id: 'a b' }],
  ['api/jobs/{id}', '/api/jobs', undefined],
  ['api/jobs/{id}/result', '/api/jobs/x/result', { id: 'x' }],
  ['api/n/{n:int}', '/api/n/12', { n: '12' }],
  ['api/n/{n:int}', '/api/n/x', undefined],
  ['api/opt/{a?}', '/api/opt', {}],
  ['api/all/{*rest}', '/api/all/a/b', { rest: 'a/b' }],
];
for (const [template, path, params] of rows)
  test(`${template} ${params ? 'takes' : 'does not take'} ${path}`, () => {
    assert.deepEqual(compileRoute(template, ['GET']).match(path), params);
  });
