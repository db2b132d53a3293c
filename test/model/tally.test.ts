import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobRecord } from '../../functions/model/job-record.ts';
import { Tally } from '../../functions/tally.ts';

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
  const tally = new Tally(clock, (level, line) => void lines.push(`${level} ${line}`));
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
