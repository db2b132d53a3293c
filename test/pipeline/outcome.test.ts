/** `decide` against the outcome table of the design, row by row. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  AttemptTimeoutError,
  InvalidInputError,
  NonRetryableError,
  RetryAfterError,
  UnknownJobTypeError,
} from '#longhaul/errors.js';
import { consequences } from '#longhaul/fate/consequences.js';
import { type Decisive, decide } from '#longhaul/fate/outcome.js';
import type { Ending, JobRecord, Waits } from '#longhaul/model/job-record.js';
import type { JobMessage } from '#longhaul/model/message.js';

const now = new Date('2026-11-21T12:00:00.000Z');
const id = '7zzwfn1abc00000000000000';
const record: JobRecord = {
  id,
  type: 'orders.export',
  state: 'running',
  lane: 'standard',
  queue: 'standard-keyed',
  key: 'k',
  createdAt: '2026-11-21T11:59:00.000Z',
  startedAt: '2026-11-21T11:59:30.000Z',
  attempt: 2,
  turn: 2,
  replyTo: 'replies-keyed',
  replyToSessionId: 'me',
  correlationId: 'c-1',
  schedule: 'nightly',
  checkpoint: { json: '{"steps":{"a":1},"cursors":{}}' },
};
const message: JobMessage = {
  id,
  type: 'orders.export',
  attempt: 2,
  turn: 2,
  queue: 'standard-keyed',
  key: 'k',
  contentType: 'application/json',
  body: Buffer.from('{}'),
};
const policy = {
  attempts: 3,
  ordered: false,
  backoff: { initial: '10s', factor: 2, jitter: false },
} as const;
function happens(outcome: Decisive, job = record) {
  const decided = decide(outcome, job, { policy, now, random: 0.5 });
  return { record: decided, ...consequences(decided, message, queues) };
}

const queues = { completions: 'completions', lanes: [] };
const replyAndCompletion = ['replies-keyed', 'completions'];
const failure = new Error('boom', { cause: new TypeError('deep') });

const waits = (of: Waits): Decisive => ({ kind: 'waits', waits: of, checkpoint: { json: '{}' } });
const ending: Ending = { state: 'cancelled', error: { name: 'E', message: 'm' }, tries: 0 };

interface Row {
  what: string;
  outcome: Decisive;
  job?: Partial<JobRecord>;
  state: string;
  sends: string[];
  message: string;
}

const table: Row[] = [
  {
    what: 'returned',
    outcome: { kind: 'returned', result: { json: '1' } },
    state: 'succeeded',
    sends: replyAndCompletion,
    message: 'complete',
  },
  {
    what: 'threw, attempts left',
    outcome: { kind: 'threw', error: failure },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'threw, no attempts left',
    outcome: { kind: 'threw', error: failure },
    job: { attempt: 3 },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'a NonRetryableError',
    outcome: { kind: 'threw', error: new NonRetryableError('no') },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'over its time limit',
    outcome: { kind: 'timed-out', error: new AttemptTimeoutError('5m') },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'over its time limit, no attempts left',
    outcome: { kind: 'timed-out', error: new AttemptTimeoutError('5m') },
    job: { attempt: 3 },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'asked to cancel',
    outcome: { kind: 'cancelled' },
    state: 'cancelled',
    sends: replyAndCompletion,
    message: 'complete',
  },
  {
    what: 'not started by its expiry',
    outcome: { kind: 'expired' },
    state: 'expired',
    sends: replyAndCompletion,
    message: 'complete',
  },
  {
    what: 'unknown type',
    outcome: { kind: 'unknown-type', error: new UnknownJobTypeError('x', []) },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'input that fits no schema',
    outcome: { kind: 'invalid-input', error: new InvalidInputError('It', []) },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'process died too often',
    outcome: { kind: 'given-up', reason: 'MaxDeliveryCountExceeded', description: 'x' },
    state: 'failed',
    sends: replyAndCompletion,
    message: 'dead-letter',
  },
  {
    what: 'waits for an event',
    outcome: waits({ events: ['paid'] }),
    state: 'waiting',
    sends: [],
    message: 'complete',
  },
  {
    what: 'waits for a time',
    outcome: waits({ until: '2026-11-22T12:00:00.000Z' }),
    state: 'waiting',
    sends: ['completions'],
    message: 'complete',
  },
  {
    what: 'waits for an event that has come meanwhile',
    outcome: waits({ events: ['paid'] }),
    job: { events: { paid: { json: '{}' } } },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'waits for children that have ended meanwhile',
    outcome: waits({ children: ['parts'] }),
    job: { children: { parts: { of: 2, at: '', ended: 'Aw==', done: 2, failed: [] } } },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'waits and was asked to cancel',
    outcome: waits({ events: ['paid'] }),
    job: { cancelRequestedAt: now.toISOString() },
    state: 'cancelled',
    sends: replyAndCompletion,
    message: 'complete',
  },
  {
    what: 'threw for good, with steps to undo',
    outcome: { kind: 'threw', error: new NonRetryableError('no') },
    job: { undoable: true },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'undo failed, tries left',
    outcome: { kind: 'undo-failed', step: 'pay', error: failure },
    job: { undoable: true, ending },
    state: 'queued',
    sends: ['standard-keyed'],
    message: 'complete',
  },
  {
    what: 'all is undone',
    outcome: { kind: 'undone' },
    job: { undoable: true, ending },
    state: 'cancelled',
    sends: replyAndCompletion,
    message: 'complete',
  },
];

describe('decide', () => {
  for (const row of table)
    test(`${row.what}: ${row.state}, ${row.message}`, () => {
      const decided = happens(row.outcome, { ...record, ...row.job } as JobRecord);
      assert.equal(decided.record.state, row.state);
      assert.deepEqual(
        decided.sends.map(({ queue }) => queue),
        row.sends,
      );
      assert.equal(decided.message.kind, row.message);
      if (!['queued', 'waiting'].includes(row.state))
        assert.equal(decided.record.finishedAt, now.toISOString());
    });

  test('a retry is a copy for the next attempt, same session, after the backoff', () => {
    const { record: next, sends } = happens({ kind: 'threw', error: failure });
    assert.equal(next.attempt, 3);
    assert.equal(next.runAt, '2026-11-21T12:00:20.000Z');
    assert.deepEqual(next.checkpoint, record.checkpoint);
    assert.equal(next.error?.cause?.message, 'deep');
    assert.deepEqual(next.history, [
      {
        attempt: 2,
        startedAt: record.startedAt,
        endedAt: now.toISOString(),
        error: { name: 'Error', message: 'boom' },
      },
    ]);
    const [copy] = sends;
    assert.equal(copy?.messageId, `${id}:3`);
    assert.equal(copy?.sessionId, 'k');
    assert.equal(copy?.at?.toISOString(), next.runAt);
    assert.equal(copy?.properties['attempt'], 3);
    assert.deepEqual(copy?.body, message.body);
  });

  test('an ordered job keeps its message and tries again in its place', () => {
    const decided = decide({ kind: 'threw', error: failure }, record, {
      policy: { ...policy, ordered: true },
      now,
      random: 0,
    });
    assert.deepEqual([decided.attempt, decided.turn], [3, 2]);
    const follows = consequences(decided, message, queues);
    assert.deepEqual(follows, { sends: [], message: { kind: 'again' } });
  });

  test('and undoes in its place, before the next of its key', () => {
    const ordered = { ...policy, ordered: true };
    const undoable = { ...record, attempt: 3, undoable: true as const };
    for (const outcome of [{ kind: 'threw', error: failure }, { kind: 'cancelled' }] as const) {
      const decided = decide(outcome, undoable, { policy: ordered, now, random: 0 });
      assert.deepEqual([decided.state, decided.turn], ['queued', 2]);
      const again = { kind: 'undo-failed', step: 'pay', error: failure } as const;
      assert.equal(decide(again, decided, { policy: ordered, now, random: 0 }).turn, 2);
    }
    const buried = { kind: 'given-up', reason: 'r', description: 'd' } as const;
    assert.equal(
      decide(buried, undoable, { policy: ordered, now, random: 0 }).turn,
      3,
      'its message is gone',
    );
  });

  test('a parent that fails takes along the children that have not ended', () => {
    const parts = { of: 3, at: now.toISOString(), ended: 'Ag==', done: 1, failed: [] };
    const { sends } = happens({ kind: 'cancelled' }, { ...record, children: { parts } });
    const cancels = sends.filter(({ properties }) => properties['type'] === 'longhaul.job.cancel');
    assert.equal(cancels.length, 2);
    assert.equal(new Set(cancels.map(({ sessionId }) => sessionId)).size, 2);
  });

  test('the undo of a step that is given up is on record, and the next is tried', () => {
    const worn = {
      ...record,
      undoable: true,
      ending: { ...ending, tries: 2, step: 'pay' },
    } as const;
    const { record: next } = happens({ kind: 'undo-failed', step: 'pay', error: failure }, worn);
    assert.equal(next.state, 'queued');
    assert.equal(next.undone?.[0]?.error?.message, 'boom');
    assert.equal(next.ending?.tries, 0);
  });

  test('an undo that says it is of no use is given up at once', () => {
    const undoing = { ...record, undoable: true, ending } as const;
    const error = new NonRetryableError('gone');
    const { record: next } = happens({ kind: 'undo-failed', step: 'pay', error }, undoing);
    assert.equal(next.undone?.[0]?.error?.message, 'gone');
  });

  test('what was given up is still to be undone, what was undone is not', () => {
    const undone = (error?: { name: string; message: string }) => {
      const steps = [{ step: 'pay', at: 'then', ...(error ? { error } : {}) }];
      const failed = { ...ending, state: 'failed' as const };
      const undoing = { ...record, undoable: true as const, ending: failed, undone: steps };
      return happens({ kind: 'undone' }, undoing).record.undoable;
    };
    assert.equal(undone(), undefined);
    assert.equal(undone({ name: 'E', message: 'm' }), true);
  });

  test('a job that was to be cancelled ends so, whatever its attempt came to', () => {
    const asked = { ...record, cancelRequestedAt: now.toISOString() };
    assert.equal(happens({ kind: 'threw', error: failure }, asked).record.state, 'cancelled');
    assert.equal(happens(waits({ events: ['a'] }), asked).record.state, 'cancelled');
  });

  test('an ordered job waits for twelve hours at most', () => {
    const days = { ...policy, backoff: { initial: '3d', max: '3d', jitter: false } } as const;
    const hoursUntil = (ordered: boolean) => {
      const outcome = { kind: 'threw', error: failure } as const;
      const { runAt = '' } = decide(outcome, record, {
        policy: { ...days, ordered },
        now,
        random: 0,
      });
      return (Date.parse(runAt) - now.getTime()) / 3_600_000;
    };
    assert.deepEqual([hoursUntil(true), hoursUntil(false)], [12, 72]);
  });

  test('a job that waits says until when, and which groups of children were sent', () => {
    const group = { of: 2, at: now.toISOString(), ended: '', done: 0, failed: [] };
    const until = '2026-11-21T13:00:00.000Z';
    const { record: waiting } = happens(waits({ until, children: ['a'] }), {
      ...record,
      children: { a: group, b: group },
    });
    assert.equal(waiting.runAt, until);
    assert.deepEqual(
      [waiting.children?.['a']?.sent, waiting.children?.['b']?.sent],
      [true, undefined],
    );
  });

  test('an error that says when to try again is heeded', () => {
    const { record: next } = happens({ kind: 'threw', error: new RetryAfterError('429', 90_000) });
    assert.equal(next.runAt, '2026-11-21T12:01:30.000Z');
  });

  test('the dead letter names the error', () => {
    const { message } = happens({ kind: 'threw', error: failure }, { ...record, attempt: 3 });
    assert.deepEqual(message, { kind: 'dead-letter', reason: 'Error', description: 'Error: boom' });
  });

  test('a failed job keeps what it goes on from when it is started again', () => {
    const kept = { input: { json: '{}' }, events: { a: { json: '1' } }, rung: now.toISOString() };
    const last = { ...record, ...kept, attempt: 3 };
    const { record: failed } = happens({ kind: 'threw', error: failure }, last);
    assert.deepEqual([failed.state, failed.checkpoint], ['failed', record.checkpoint]);
    assert.deepEqual([failed.input, failed.events, failed.rung], Object.values(kept));
    const { record: done } = happens({ kind: 'returned', result: { json: '1' } }, last);
    assert.deepEqual([done.input, done.events, done.rung], [kept.input, undefined, undefined]);
    const unkept = { ...last, unkept: true } as const;
    const { record: without } = happens({ kind: 'returned', result: { json: '1' } }, unkept);
    assert.equal(without.input, undefined);
  });

  test('an ended job keeps its checkpoint, for its timeline', () => {
    const { record: ended } = happens({ kind: 'returned', result: { json: '1' } });
    assert.deepEqual(ended.checkpoint, record.checkpoint);
  });
});

describe('consequences', () => {
  for (const { what, outcome, job } of table)
    test(`what follows from "${what}" follows again from its record alone`, () => {
      const decided = happens(outcome, { ...record, ...job } as JobRecord);
      const again = consequences(decided.record, message, queues);
      const ids = (sends: readonly { messageId: string }[]) =>
        sends.map(({ messageId }) => messageId);
      assert.deepEqual(ids(again.sends), ids(decided.sends));
      assert.deepEqual(again.message, decided.message);
    });

  test('who asked for no reply and has no one waiting gets no message', () => {
    const { replyTo: _r, schedule: _s, ...alone } = record;
    assert.deepEqual(happens({ kind: 'cancelled' }, alone).sends, []);
  });
});
