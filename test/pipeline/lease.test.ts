import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, LockLostError, LonghaulError } from '#longhaul/errors.js';
import type { JobRecord } from '#longhaul/model/job-record.js';
import type { Records } from '#longhaul/ports.js';
import { Lease } from '#longhaul/record/lease.js';

const queued: JobRecord = {
  id: 'j',
  type: 't',
  state: 'queued',
  lane: 'standard',
  queue: 'standard',
  createdAt: '2026-11-21T00:00:00.000Z',
  attempt: 1,
  turn: 1,
};

/** Records as the port has them: a version for each write, a conflict for a stale one. */
function records(first?: JobRecord) {
  let stored = first && { record: first, etag: '1' };
  let loseAnswer = false;
  const port: Records = {
    read: async () => stored,
    async write(record, etag) {
      if (etag !== stored?.etag) throw new ConflictError(record.id);
      stored = { record, etag: String(Number(stored?.etag ?? 0) + 1) };
      if (loseAnswer) {
        loseAnswer = false;
        throw new ConflictError(record.id);
      }
      return stored;
    },
    readMany: async () => [],
    list: async () => ({ records: [], cursor: undefined }),
  };
  const leasing = {
    records: port,
    removal: { removed: async () => undefined },
    clock: { now: () => new Date(), after: () => () => undefined },
  };
  return {
    leasing,
    now: () => stored?.record,
    /** Another writer, which does what it likes. */
    change(change: Partial<JobRecord>) {
      stored = {
        record: { ...(stored?.record ?? queued), ...change } as JobRecord,
        etag: String(Number(stored?.etag ?? 0) + 1),
      };
    },
    remove() {
      stored = undefined;
    },
    loseNextAnswer() {
      loseAnswer = true;
    },
  };
}

const running = (record: JobRecord): JobRecord => ({ ...record, state: 'running' });
const succeeded = (record: JobRecord): JobRecord => ({
  ...record,
  state: 'succeeded',
  finishedAt: '',
  keepUntil: '',
});

test('a worker that lost its job to another writes nothing more', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  await lease.write(running);
  store.change({ owner: 'another' });
  await assert.rejects(lease.write(succeeded), LockLostError);
  await assert.rejects(lease.write(succeeded), LockLostError);
  await assert.rejects(lease.refresh(), LockLostError);
  assert.equal(store.now()?.state, 'running');
  assert.equal(store.now()?.owner, 'another');
});

test('a cancel that came meanwhile is seen and kept', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  store.change({ cancelRequestedAt: 'now' });
  await lease.write(running);
  assert.equal(lease.record.cancelRequestedAt, 'now');
  assert.equal(store.now()?.state, 'running');
});

test('a job that was cancelled before it began is not begun', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  store.change({ state: 'cancelled' });
  await assert.rejects(lease.write(running), LockLostError);
  assert.equal(store.now()?.state, 'cancelled');
});

test('the record that submit writes while the worker runs is taken over', async () => {
  const store = records();
  const lease = new Lease(store.leasing, { record: queued, etag: undefined }, 'me');
  store.change({ requestedBy: 'submit' });
  await lease.write(succeeded);
  assert.equal(store.now()?.state, 'succeeded');
});

test('a write whose answer got lost is recognised as done', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  store.loseNextAnswer();
  assert.equal((await lease.write(succeeded)).state, 'succeeded');
});

test('and is not done twice', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  const add = (record: JobRecord): JobRecord => ({
    ...record,
    undone: [...(record.undone ?? []), { step: 's', at: 'now' }],
  });
  await lease.write(add);
  store.loseNextAnswer();
  await lease.write(add);
  assert.equal(store.now()?.undone?.length, 2);
  assert.equal(lease.record.undone?.length, 2);
});

test('a conflict with nobody has an end, which ends the run', async () => {
  const store = records(queued);
  const stuck = { ...store.leasing.records, write: () => Promise.reject(new ConflictError('j')) };
  const lease = new Lease(
    { ...store.leasing, records: stuck },
    { record: queued, etag: '1' },
    'me',
  );
  await assert.rejects(lease.write(running), ConflictError);
  assert.ok(lease.failure instanceof ConflictError);
});

test('after a failure or a loss nothing more is tried', async () => {
  let writes = 0;
  const counted = (store: ReturnType<typeof records>) => {
    const write: Records['write'] = (...of) => {
      writes++;
      return store.leasing.records.write(...of);
    };
    return { ...store.leasing, records: { ...store.leasing.records, write } };
  };
  const failed = new Lease(counted(records(queued)), { record: queued, etag: '1' }, 'me');
  const away = new Error('away');
  await assert.rejects(
    failed.guard(() => Promise.reject(away)),
    away,
  );
  await assert.rejects(failed.write(running), away);
  assert.equal(writes, 0);
  const store = records(queued);
  const lost = new Lease(counted(store), { record: queued, etag: '1' }, 'me');
  store.change({ owner: 'another' });
  await assert.rejects(lost.write(running), LockLostError);
  await assert.rejects(lost.write(running), LockLostError);
  assert.equal(writes, 1);
});

test('a write that fails is tried again, later each time, for about a minute', async () => {
  const waited: number[] = [];
  const { leasing } = records(queued);
  const clock = {
    now: () => new Date(),
    after(ms: number, run: () => void) {
      waited.push(ms);
      setImmediate(run);
      return () => undefined;
    },
  };
  const away = { ...leasing.records, write: () => Promise.reject(new Error('away')) };
  const lease = new Lease(
    { ...leasing, records: away, clock },
    { record: queued, etag: '1' },
    'me',
  );
  await assert.rejects(lease.write(running), /away/);
  assert.deepEqual(waited, [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
});

test('whether a job was removed is asked only for one that had no record, and late', async () => {
  let now = 0;
  let asked = 0;
  const { leasing } = records();
  const removal = { removed: async () => void asked++ };
  const watched = { ...leasing, removal, clock: { ...leasing.clock, now: () => new Date(now) } };
  const lease = new Lease(watched, { record: queued, etag: undefined }, 'me');
  now = 59_999;
  await lease.write(running);
  now = 90_000;
  await lease.write(succeeded);
  assert.equal(asked, 0);
});

test('what is noted of a run says when it began, once', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me', {
    startedAt: 'began',
  });
  await lease.writeRunning((record) => ({ ...record, attempt: 2 }));
  assert.deepEqual([store.now()?.state, store.now()?.startedAt], ['running', 'began']);
  await lease.writeRunning((record) => ({ ...record, startedAt: 'before' }));
  assert.equal(store.now()?.startedAt, 'before');
});

test('a look at the record sees what others wrote', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  store.change({ cancelRequestedAt: 'now' });
  assert.equal((await lease.refresh()).cancelRequestedAt, 'now');
});

test('storage that fails ends the run, a refusal does not', async () => {
  const failing = async (error: Error) => {
    const { leasing } = records(queued);
    const lease = new Lease(leasing, { record: queued, etag: '1' }, 'me');
    const heard: unknown[] = [];
    lease.onFailure = (failure) => heard.push(failure);
    await assert.rejects(
      lease.guard(() => Promise.reject(error)),
      error,
    );
    assert.deepEqual(heard, lease.failure === undefined ? [] : [error]);
    return lease.failure;
  };
  const reset = new Error('ECONNRESET');
  assert.equal(await failing(reset), reset);
  for (const status of [400, 504])
    assert.equal(await failing(new LonghaulError('x', status, 'm')), undefined);
});

test('after the last write, and once it is closed, nothing more is written', async () => {
  const store = records(queued);
  const decided = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  await decided.decide(succeeded);
  await assert.rejects(decided.writeRunning(running), LockLostError);
  assert.equal(store.now()?.state, 'succeeded');
  const other = records(queued);
  const closed = new Lease(other.leasing, { record: queued, etag: '1' }, 'me');
  closed.close();
  await assert.rejects(closed.writeRunning(running), LockLostError);
  assert.equal(other.now()?.state, 'queued');
});

test('a record that was removed is not written anew, one that nobody wrote yet is', async () => {
  const store = records(queued);
  const lease = new Lease(store.leasing, { record: queued, etag: '1' }, 'me');
  assert.equal(lease.isNew, false);
  store.remove();
  await assert.rejects(lease.write(succeeded), LockLostError);
  assert.equal(store.now(), undefined);
  const fresh = new Lease(store.leasing, { record: queued, etag: undefined }, 'me');
  assert.equal(fresh.isNew, true);
  await fresh.refresh();
  await fresh.write(succeeded);
  assert.equal(store.now()?.state, 'succeeded');
  assert.equal(fresh.isNew, false);
});

test('a worker that stood still for long does not write the record of a job that was removed since', async () => {
  const store = records();
  let now = 0;
  const leasing = {
    ...store.leasing,
    clock: { ...store.leasing.clock, now: () => new Date(now) },
    removal: { removed: async () => ({ at: '', state: undefined }) },
  };
  const lease = new Lease(leasing, { record: queued, etag: undefined }, 'me');
  now = 61_000;
  await assert.rejects(lease.write(succeeded), LockLostError);
  assert.equal(store.now(), undefined);
});
