import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobRecord } from '#longhaul/model/job-record.js';
import { Tally } from '#longhaul/tally.js';

test('the tally is one line a minute: ends by type and state, with sums of times; none when nothing ended', () => {
  const lines: string[] = [];
  const planned: (() => void)[] = [];
  const clock = {
    after(ms: number, run: () => void) {
      assert.equal(ms, 60_000);
      planned.push(run);
      return () => undefined;
    },
  };
  const log = (level: string, line: string) => void lines.push(`${level} ${line}`);
  const tally = new Tally(clock, log, () => true);
  const record = (type: string) =>
    ({
      type,
      createdAt: '2026-01-01T00:00:00Z',
      startedAt: '2026-01-01T00:00:01Z',
      finishedAt: '2026-01-01T00:00:03Z',
    }) as JobRecord;
  tally.flush();
  assert.deepEqual(lines, []);
  tally.count('started', record('a'));
  assert.equal(planned.length, 0, 'nothing ended, so nothing is planned');
  for (const state of ['succeeded', 'succeeded', 'failed'] as const)
    tally.count(state, record('a'));
  tally.count('expired', { ...record('b'), startedAt: '' });
  planned[0]?.();
  assert.deepEqual(lines, [
    'info longhaul.ended {"a":{"waitMs":3000,"runMs":6000,"succeeded":2,"failed":1},"b":{"waitMs":0,"runMs":0,"expired":1}}',
  ]);
  tally.flush();
  assert.equal(lines.length, 1);
});

test('types that a sender made up are one, and however many there are a line can be read', () => {
  const lines: string[] = [];
  const clock = { after: () => () => undefined };
  const log = (_: string, line: string) => void lines.push(line);
  const tally = new Tally(clock, log, (type) => type.startsWith('known'));
  const record = (type: string) => ({ type, createdAt: '2026-01-01T00:00:00Z' }) as JobRecord;
  for (let n = 0; n < 600; n++) tally.count('failed', record(`made up ${n} ${'x'.repeat(90)}`));
  for (let n = 0; n < 60; n++) tally.count('failed', record(`known ${n} ${'x'.repeat(90)}`));
  tally.flush();
  const read = lines.map((line) => JSON.parse(line.slice(line.indexOf('{'))) as object);
  const all = Object.assign({}, ...read) as Record<string, { failed: number }>;
  assert.deepEqual([Object.keys(all).length, all['(unknown)']?.failed], [61, 600]);
  assert.ok(lines.every((line) => line.length < 8_000));
});
