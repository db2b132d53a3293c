import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toStatus } from '#longhaul/http/status.js';
import type { JobRecord } from '#longhaul/model/job-record.js';

test('a status shows nothing of how a job is run', () => {
  const at = '2026-11-21T12:00:00.000Z';
  const insides = {
    owner: 'o',
    writes: 2,
    sequence: '7',
    putBack: 1,
    starts: [{ owner: 'o', at }],
  };
  const record: JobRecord = {
    ...{ id: 'j', type: 't', state: 'running', lane: 'standard', queue: 'standard' },
    ...{ createdAt: at, attempt: 1, turn: 3, triedBefore: 1, woken: 2, rung: at, claims: 'a/b' },
    ...insides,
  };
  const shown = Object.keys(toStatus(record, new Date(at)));
  assert.deepEqual(shown.sort(), ['attempt', 'createdAt', 'id', 'lane', 'links', 'state', 'type']);
});
