/** What follows from a record alone, case by case; `outcome.test.ts` has what follows from each outcome. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { consequences, settlementOf } from '#longhaul/fate/consequences.js';
import type { EndedRecord, JobRecord } from '#longhaul/model/job-record.js';
import type { JobMessage } from '#longhaul/model/message.js';

const id = '7zzwfn1abc00000000000000';
const at = '2026-11-21T12:00:00.000Z';
const base = { id, type: 't', lane: 'standard', queue: 'standard', createdAt: at, attempt: 1 };
const record: JobRecord = { ...base, state: 'queued', turn: 2 };
const message: JobMessage = {
  ...{ id, type: 't', queue: 'standard', attempt: 1, turn: 2 },
  contentType: 'application/json',
  body: Buffer.from('{}'),
};
const lane = (name: string) => ({ name, plain: name, keyed: `${name}-keyed` });
const lanes = [lane('urgent'), lane('standard')] as never;
const follow = (of: Partial<JobRecord>, more: object = {}) =>
  consequences({ ...record, ...of } as JobRecord, message, {
    completions: 'completions',
    lanes,
    ...more,
  });
const failed = { state: 'failed', error: { name: 'Error', message: 'm' } } as const;

describe('a message of an earlier turn', () => {
  test('finds the job ended: it tells so again, and is not dead-lettered a second time', () => {
    const { sends, message: settlement } = follow({ ...failed, turn: 3, replyTo: 'replies' });
    assert.deepEqual(settlement, { kind: 'complete' });
    assert.deepEqual(
      sends.map(({ queue }) => queue),
      ['replies'],
    );
  });

  test('sends the next turn again while nobody has begun it, and only then', () => {
    const sentIn = (of: Partial<JobRecord>) => follow(of).sends.map(({ messageId }) => messageId);
    assert.deepEqual(sentIn({ turn: 3 }), [`${id}:3`]);
    assert.deepEqual(sentIn({ turn: 4 }), []);
    assert.deepEqual(sentIn({ turn: 3, state: 'running' }), []);
    assert.deepEqual(sentIn({ turn: 3, state: 'waiting' }), []);
  });
});

describe('what is told', () => {
  test('a reply goes to the session that was asked for, if one was', () => {
    const replyOf = (of: Partial<JobRecord>) =>
      follow({ ...failed, replyTo: 'replies', ...of }).sends[0]?.sessionId;
    assert.equal(replyOf({ replyToSessionId: 'me' }), 'me');
    assert.equal(replyOf({}), undefined);
  });

  test('a callback is a job of the standard lane, or of the first where there is none', () => {
    const callback = 'https://example.com/';
    const queueOf = (more?: object) => follow({ ...failed, callback }, more).sends[0]?.queue;
    assert.equal(queueOf(), 'standard');
    assert.equal(queueOf({ lanes: [lane('one')] }), 'one');
  });

  test('children are cancelled with a parent that failed or was cancelled, and only with it', () => {
    const children = { parts: { of: 2, at, ended: '', done: 0, failed: [] } };
    for (const [state, cancels] of [
      ['failed', 2],
      ['cancelled', 2],
      ['succeeded', 0],
      ['expired', 0],
    ] as const)
      assert.equal(follow({ state, children }).sends.length, cancels, state);
  });
});

test('a dead letter names the code of the error, its name, or why the broker gave up', () => {
  const reasonOf = (error: EndedRecord['error']) => {
    const settlement = settlementOf({ ...record, state: 'failed', error } as EndedRecord);
    return settlement.kind === 'dead-letter' ? settlement.reason : settlement.kind;
  };
  assert.equal(reasonOf({ name: 'E', message: 'm', code: 'not_json' }), 'not_json');
  assert.equal(reasonOf({ name: 'E', message: 'm' }), 'E');
  assert.equal(
    reasonOf({ name: 'MaxDelivery', message: 'm', code: 'delivery_limit_exceeded' }),
    'MaxDelivery',
  );
  assert.equal(reasonOf(undefined), 'failed');
});
