/** What becomes of a job's record when news come. Without I/O. */

import type { Policy } from '../define/catalogue.ts';
import { cancelled } from '../fate/outcome.ts';
import { groupNamed, isDue, isFulfilled, woken } from '../fate/waiting.ts';
import { idOfChild } from '../model/id.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import type { JobSignal } from '../model/job-signal.ts';

/** What a job's record says once the news have come; the same object when they change nothing. */
export function applySignals(
  record: JobRecord,
  news: readonly JobSignal[],
  policy: Pick<Policy, 'ordered'>,
  now: Date,
): JobRecord {
  const heard = news.reduce((known, one) => hearOne(known, one, policy, now), record);
  if (heard.state !== 'waiting') return heard;
  const timer = news.some(
    ({ kind, ...of }) => kind === 'wake' && 'turn' in of && of.turn === heard.turn,
  );
  return timer || isFulfilled(heard, now) ? woken(heard, timer || isDue(heard, now)) : heard;
}

function hearOne(
  record: JobRecord,
  news: JobSignal,
  policy: Pick<Policy, 'ordered'>,
  now: Date,
): JobRecord {
  if (hasEnded(record.state)) return record;
  switch (news.kind) {
    case 'wake':
      return record;
    case 'event':
      return Object.hasOwn(record.events ?? {}, news.name)
        ? record
        : { ...record, events: { ...record.events, [news.name]: news.payload } };
    case 'cancel':
      return askedToCancel(record, policy, now);
    case 'child':
      return childEnded(record, news);
  }
}

/**
 * A running job is told; one that is to undo its steps goes back to a worker, or is told if a worker has
 * it in hand, as one that is ordered; any other ends here.
 */
export function askedToCancel(
  record: JobRecord,
  policy: Pick<Policy, 'ordered'>,
  now: Date,
): JobRecord {
  if (record.cancelRequestedAt || record.ending) return record;
  const asked = { ...record, cancelRequestedAt: now.toISOString() };
  if (record.state === 'running' || (policy.ordered && record.undoable)) return asked;
  const next = cancelled(asked, now, policy);
  return hasEnded(next.state) ? next : { ...next, woken: next.turn };
}

const failuresListed = 100;

function childEnded(record: JobRecord, news: JobSignal & { kind: 'child' }): JobRecord {
  const { group: name, index, state } = news;
  const group = groupNamed(record, name);
  if (!group || index >= group.of) return record;
  // Started again, the job has other children of that name.
  if (news.id !== idOfChild(record.id, name, group, index)) return record;
  const bits = Buffer.alloc(Math.ceil(group.of / 8));
  Buffer.from(group.ended, 'base64').copy(bits);
  const before = bits[index >> 3] ?? 0;
  const succeeded = state === 'succeeded';
  const wasFailed = group.failed.includes(index);
  const isNew = (before & (1 << (index & 7))) === 0;
  // A child that failed may be started again and succeed after all.
  if (!isNew && !(succeeded && wasFailed)) return record;
  bits[index >> 3] = before | (1 << (index & 7));
  const failed = succeeded
    ? group.failed.filter((other) => other !== index)
    : [...group.failed, index].slice(0, failuresListed);
  const next = {
    ...group,
    ended: bits.toString('base64'),
    done: group.done + (succeeded ? 1 : 0),
    failed,
  };
  return { ...record, children: { ...record.children, [name]: next } };
}
