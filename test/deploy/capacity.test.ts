import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  bindingTable,
  costPerMillion,
  costTable,
  firstToBind,
  monthAt,
  monthTable,
  needs,
  needsTable,
  restText,
  shapes,
  standardMonth,
} from '#dev/deploy/capacity.js';
import { root } from '../support/stack.ts';

test('docs/capacity.md says what the calculation gives', () => {
  const page = readFileSync(join(root, 'docs/capacity.md'), 'utf8');
  for (const text of [costTable(), restText(), monthTable(), bindingTable(), needsTable()])
    assert.ok(page.includes(text), `npm run capacity, then into the page:\n${text}`);
});

test('the sums add up, by hand', () => {
  const [small] = shapes;
  assert.ok(small);
  // 4 operations at 0.80, 2 executions at 0.40, 8 ms of 2 GB, 2 transactions, 100 bytes of log.
  const expected = 3.2 + 0.8 + 8_000 * 2 * 0.000026 + 0.072 + 0.23;
  assert.ok(Math.abs(costPerMillion(small).sum - expected) < 1e-9);
  // 13 M free, 87 at 0.80, 400 at 0.50.
  assert.ok(Math.abs(standardMonth(500e6) - (9.81 + 69.6 + 200)) < 1e-9);
});

test('a month at a rate, by hand', () => {
  const [small] = shapes;
  assert.ok(small);
  const { costs } = monthAt(100, small);
  // 259.2 M jobs: 1,036.8 M operations, and two instances that are never idle for a second.
  assert.ok(Math.abs(costs.bus - (9.81 + 69.6 + 936.8 * 0.5)) < 1e-6);
  assert.ok(Math.abs(costs.compute - 2 * 2_592_000 * 2 * 0.000026) < 0.01);
  assert.equal(monthAt(10_000, small).units, 8, 'seven cannot be bought');
  assert.equal(needs(100_000).units, 68);
});

test('Standard binds first, and ten times the jobs need ten times the bus', () => {
  assert.match(firstToBind()[0]?.what ?? '', /Standard/);
  assert.equal(needs(100_000).messages, 10 * needs(10_000).messages);
  assert.ok(needs(100_000).units <= 10 * needs(10_000).units);
});
