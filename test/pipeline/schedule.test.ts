import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dueTimes } from '../../functions/pipeline/schedule.ts';

const at = (text: string) => new Date(text);
const times = (dates: Date[]) => dates.map((date) => date.toISOString());

test('due times before the next tick are all there', () => {
  const due = dueTimes(
    { cron: '*/5 * * * * *' },
    at('2026-01-01T00:00:00Z'),
    at('2026-01-01T00:00:00Z'),
    at('2026-01-01T00:00:15Z'),
  );
  assert.deepEqual(times(due), [
    '2026-01-01T00:00:05.000Z',
    '2026-01-01T00:00:10.000Z',
    '2026-01-01T00:00:15.000Z',
  ]);
});

test('of what an outage missed, the last is run', () => {
  const due = dueTimes(
    { cron: '0 * * * *' },
    at('2026-01-01T00:00:00Z'),
    at('2026-01-01T09:30:00Z'),
    at('2026-01-01T09:30:15Z'),
  );
  assert.deepEqual(times(due), ['2026-01-01T09:00:00.000Z']);
});

test('in a zone with daylight saving the hour on the clock stays', () => {
  const nine = { cron: '0 9 * * *', timeZone: 'Europe/Amsterdam' };
  const before = dueTimes(
    nine,
    at('2026-03-28T00:00:00Z'),
    at('2026-03-28T00:00:00Z'),
    at('2026-03-28T12:00:00Z'),
  );
  const after = dueTimes(
    nine,
    at('2026-03-29T00:00:00Z'),
    at('2026-03-29T00:00:00Z'),
    at('2026-03-29T12:00:00Z'),
  );
  assert.deepEqual(times(before), ['2026-03-28T08:00:00.000Z']);
  assert.deepEqual(times(after), ['2026-03-29T07:00:00.000Z']);
});
