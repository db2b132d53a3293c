import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '#longhaul/errors.js';
import { answerBatch } from '#longhaul/http/batch.js';

test('the answer to a batch of nonsense is bounded, and says of each item that it was refused', () => {
  const issues = Array.from({ length: 50 }, (_, n) => ({
    pointer: `/${'p'.repeat(299)}`,
    message: `${n} ${'m'.repeat(300)}`,
  }));
  const refused = new InvalidInputError('The input', issues);
  const answer = answerBatch(
    Array.from({ length: 10_000 }, () => ({ refused })),
    () => ({ status: 202 }),
  );
  const text = String(answer.body);
  assert.ok(text.length < 2_000_000, `${text.length} characters`);
  const { results, ...counts } = JSON.parse(text) as {
    results: { status: number; error: { code: string; detail: string; errors?: unknown[] } }[];
  };
  assert.deepEqual(counts, { accepted: 0, refused: 10_000 });
  assert.equal(results[0]?.error.errors?.length, 50);
  assert.match(results[999]?.error.detail ?? '', /^The input does not fit its schema/);
  assert.equal(results[1_000]?.error.detail, undefined);
  for (const { status, error } of results)
    assert.deepEqual([status, error.code], [422, 'invalid_input']);
});
