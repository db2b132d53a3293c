import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTopology } from '#service-bus/start.js';
import { root } from '../support/stack.ts';

test('what is sent twice within an hour is dropped, on every queue that detects duplicates', async () => {
  const { queues } = await readTopology(join(root, 'topology.json'));
  const detecting = queues.filter((queue) => queue.requiresDuplicateDetection);
  assert.ok(detecting.some(({ name }) => name === 'replies'));
  for (const { name, duplicateDetectionHistoryTimeWindow } of detecting)
    assert.equal(duplicateDetectionHistoryTimeWindow, 'PT1H', name);
});
