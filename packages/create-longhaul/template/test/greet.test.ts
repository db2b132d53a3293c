import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testJob } from 'longhaul/testing';
import { greet } from '../functions/jobs/greet.ts';

test('greets everybody', async () => {
  const run = testJob(greet, { names: ['Ada', 'Grace'] });
  assert.deepEqual(await run.result, { greeted: ['Hello, Ada', 'Hello, Grace'] });
});
