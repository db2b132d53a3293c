/** Which job stands for an equal one, and for how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { standsFor, uniqueName } from '#longhaul/admit/unique.js';
import { JobTypes } from '#longhaul/define/catalogue.js';
import type { JobRecord, State } from '#longhaul/model/job-record.js';
import { typeOf } from './world/one-job.ts';

const now = new Date('2026-11-21T12:00:00Z');
const ago = (ms: number) => new Date(now.getTime() - ms).toISOString();
const lane = { name: 'standard', plain: 'standard', keyed: 'keyed', maxTimeout: '10m' as const };
const topology = { lanes: [lane], completions: 'c', replies: [], inbox: 'i', queues: [] };

function known(unique: Parameters<typeof typeOf>[1]) {
  const type = new JobTypes([typeOf(async () => 1, { keep: '1h', ...unique })], topology).find(
    'test',
  );
  return type ?? assert.fail();
}

const record = (state: State, more: Partial<JobRecord> = {}) =>
  ({
    ...{ id: 'j', type: 'test', state, lane: 'standard', queue: 'standard' },
    ...{ createdAt: ago(60_000), attempt: 1, turn: 1 },
    ...more,
  }) as JobRecord;
const ended = { startedAt: ago(50_000), finishedAt: ago(40_000) };
const states: State[] = ['scheduled', 'queued', 'running', 'waiting', 'succeeded', 'failed'];

test('until it started: while it is due or queued for the first time', () => {
  const type = known({ unique: { until: 'started' } });
  const stands = (of: JobRecord) => standsFor(of, type, now);
  assert.deepEqual(
    states.filter((state) => stands(record(state))),
    ['scheduled', 'queued'],
  );
  assert.equal(stands(record('queued', { startedAt: ago(1) })), false, 'woken after a wait');
  assert.equal(stands(record('queued', { attempt: 2 })), false, 'tried again');
});

test('until it finished: however it ends', () => {
  const type = known({ unique: { until: 'finished' } });
  const standing = states.filter((state) => standsFor(record(state), type, now));
  assert.deepEqual(standing, ['scheduled', 'queued', 'running', 'waiting']);
});

test('until it expires: as long as there is a result to give again', () => {
  const type = known({ unique: { until: 'expiry' } });
  const stands = (of: JobRecord) => standsFor(of, type, now);
  assert.ok(stands(record('running')));
  assert.ok(stands(record('succeeded', ended)));
  assert.ok(stands(record('succeeded', { ...ended, finishedAt: ago(3_599_999) })));
  assert.ok(!stands(record('succeeded', { ...ended, finishedAt: ago(3_600_000) })));
  for (const state of ['failed', 'cancelled', 'expired'] as const)
    assert.ok(!stands(record(state, ended)), state);
});

test('a type whose jobs are each their own has none', () => {
  const type = known({});
  assert.equal(standsFor(record('queued'), type, now), false);
  assert.equal(uniqueName(type, { n: 1 }, {}), undefined);
});

test('the order of members makes no other job, and what `by` says does', () => {
  const all = known({ unique: { until: 'finished' } });
  assert.equal(uniqueName(all, { a: 1, b: 2 }, {}), uniqueName(all, { b: 2, a: 1 }, {}));
  assert.notEqual(uniqueName(all, { a: 1 }, {}), uniqueName(all, { a: 2 }, {}));
  const by = known({ unique: { by: (_, { requestedBy }) => requestedBy, until: 'finished' } });
  assert.equal(uniqueName(by, { a: 1 }, {}), uniqueName(by, { a: 2 }, {}));
  assert.notEqual(uniqueName(by, {}, { requestedBy: 'ada' }), uniqueName(by, {}, {}));
});
