/** A record as a table entity: whatever its parts are, no column is longer than the service takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromEntity, tagColumn, toEntity, withoutInput } from '#longhaul/azure/record-entity.js';
import type { JobRecord } from '#longhaul/model/job-record.js';

const group = { of: 50_000, at: '', ended: 'A'.repeat(8_400), done: 0, failed: [] };
const record: JobRecord = {
  id: '7zzwfn1abc00000000000000',
  type: 'test',
  state: 'queued',
  lane: 'standard',
  queue: 'standard',
  createdAt: '2026-11-21T12:00:00.000Z',
  attempt: 1,
  turn: 1,
};

test('four groups of 50,000 children, many events and a long undo come back as they were', () => {
  const full: JobRecord = {
    ...record,
    children: { a: group, b: group, c: group, d: group },
    input: { json: JSON.stringify(`x${'\u{1F600}'.repeat(40_000)}`) },
    events: Object.fromEntries(
      Array.from({ length: 20 }, (_, n) => [`e${n}`, { json: '"'.repeat(4_000) }]),
    ),
    undone: Array.from({ length: 900 }, (_, n) => ({ step: `step ${n}`, at: record.createdAt })),
    error: {
      name: 'E',
      message: 'm',
      errors: Array(600).fill({ pointer: '/x', message: 'wrong' }),
    },
  };
  const entity = toEntity(full);
  for (const [name, value] of Object.entries(entity))
    assert.ok(String(value).length <= 32_000, `${name} has ${String(value).length} characters`);
  for (const value of Object.values(entity)) assert.ok(!/\p{Cs}/u.test(String(value)));
  assert.deepEqual(fromEntity(entity), full);
});

test('a list reads what a status is made of, however long, and no input', () => {
  const undone = Array.from({ length: 900 }, (_, n) => ({
    step: `step ${n}`,
    at: record.createdAt,
  }));
  const full: JobRecord = { ...record, undone, children: { a: group } };
  const entity = toEntity({ ...full, input: { json: '"x"' }, checkpoint: { json: '{}' } });
  const read = Object.fromEntries(withoutInput.map((name) => [name, entity[name] ?? null]));
  assert.deepEqual(fromEntity(read), full);
});

test('each tag has a column of its own, under a name that the service takes', () => {
  const tags = ['a', "b c's", 'x'.repeat(64)];
  const entity = toEntity({ ...record, tags });
  for (const tag of tags) {
    assert.equal(entity[tagColumn(tag)], tag);
    assert.match(tagColumn(tag), /^[a-z_][a-z0-9_]*$/);
  }
  assert.deepEqual(fromEntity(entity).tags, tags);
});

test('a small record has one column for each part', () => {
  const names = Object.keys(toEntity({ ...record, children: { a: { ...group, ended: '' } } }));
  assert.deepEqual(names.sort(), [
    ...['children', 'partitionKey', 'record', 'rowKey', 'state', 'type'],
  ]);
});
