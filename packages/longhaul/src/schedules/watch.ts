/** Whether a run is under way: its record knows, also when the word of its end was lost. */

import type { JobTypes, KnownType } from '../define/catalogue.ts';
import { toMs } from '../model/duration.ts';
import { idOfOccurrence } from '../model/id.ts';
import { isEnded, type JobRecord } from '../model/job-record.ts';
import { isHeldUp, type Schedule } from '../model/schedule.ts';
import type { Clock, Log, Records, Removal } from '../ports.ts';
import { ended, missedFirst, sentBefore, stillRunning } from './plan.ts';

interface Watching {
  types: JobTypes;
  records: Records;
  removal: Removal;
  clock: Clock;
  log: Log;
}

/** The schedule as records know it, before somebody plans for it. */
export async function watched(app: Watching, schedule: Schedule): Promise<Schedule> {
  let known = await askedOfRun(app, schedule);
  for (;;) {
    const now = app.clock.now();
    const at = isHeldUp(known) ? undefined : missedFirst(known, now);
    const record = at && (await app.records.read(idOfOccurrence(known.id, at, known.salt)))?.record;
    if (!at || !record) return known;
    known = heardFrom(sentBefore(known, at, now), record, now);
  }
}

/**
 * A run that should have been heard of (its word was lost, or its message), or that a due time has met:
 * its record says whether it is under way.
 */
async function askedOfRun(app: Watching, schedule: Schedule): Promise<Schedule> {
  const { running, nextAt, id } = schedule;
  const now = app.clock.now();
  if (!running) return schedule;
  const isMet = isHeldUp(schedule) && nextAt !== undefined && new Date(nextAt) <= now;
  const isOverdue = new Date(running.watchAt) <= now;
  if (!isMet && !isOverdue) return schedule;
  const record = (await app.records.read(running.job))?.record;
  if (record && isEnded(record)) return heardFrom(schedule, record, now);
  if (!isOverdue) return schedule;
  const longest = longestMs(app.types.find(schedule.type));
  const tooLong = now.getTime() - new Date(running.since).getTime() > longest;
  const isGone = !record && (await app.removal.removed(running.job)) !== undefined;
  if (!isGone && (record?.state === 'waiting' || !tooLong))
    return record
      ? heardFrom(stillRunning(schedule, now), record, now)
      : stillRunning(schedule, now);
  app.log('warn', `schedule ${id}: job ${running.job} is lost; the schedule goes on`);
  return ended(schedule, { job: running.job, state: 'lost', at: now }, now);
}

const hourMs = 3_600_000;

/** So long a job may take that is tried as often as its type allows, and then some. */
function longestMs(known: KnownType | undefined): number {
  if (!known) return hourMs;
  const { timeout, attempts, backoff } = known.policy;
  const wait = typeof backoff === 'function' ? hourMs : toMs(backoff.max ?? '10m');
  return attempts * (toMs(timeout) + wait) + hourMs;
}

// Its end is told to another: nobody but a look learns of it.
const watchForeignMs = 60_000;

/** What the record of a run says of it. */
export function heardFrom(schedule: Schedule, record: JobRecord, now: Date): Schedule {
  const { id: job } = record;
  if (isEnded(record))
    return ended(schedule, { job, state: record.state, at: new Date(record.finishedAt) }, now);
  const isForeign = schedule.running?.job === job && record.schedule !== schedule.id;
  return isForeign ? stillRunning(schedule, now, watchForeignMs) : schedule;
}
