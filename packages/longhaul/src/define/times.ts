/** When a schedule is due. Without I/O. */
import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import { toMs } from '../model/duration.ts';
import type { Schedule, ScheduleDefinition } from '../model/schedule.ts';
import { firstOnWall } from './wall-clock.ts';

export type Timing = Pick<
  ScheduleDefinition,
  'cron' | 'timeZone' | 'every' | 'at' | 'startsAt' | 'endsAt'
>;

/** The first due time of a schedule from `now` on, whatever was before. */
export function firstTime(timing: Timing, now: Date): Date | undefined {
  const { every, startsAt } = timing;
  if (!every) return nextTime(timing, now);
  return within(timing, startsAt ? later(startsAt, now) : new Date(now.getTime() + toMs(every)));
}

const later = (text: string, now: Date) => {
  const at = new Date(text);
  return at > now ? at : now;
};

/** The due time after `after`; none for `every`, which counts from the end of the run. */
export function nextTime(timing: Timing, after: Date): Date | undefined {
  const { cron, timeZone = 'UTC', at, startsAt } = timing;
  if (at) return new Date(at) > after ? within(timing, new Date(at)) : undefined;
  if (!cron) return undefined;
  // A due time may be the start itself.
  const start = Math.max(after.getTime(), startsAt ? new Date(startsAt).getTime() - 1 : 0);
  const pattern = patternOf(cron);
  const next = firstOnWall(timeZone, start, (wall) => pattern.nextRun(new Date(wall))?.getTime());
  return within(timing, next === undefined ? undefined : new Date(next));
}

// Reading a pattern costs as much as looking for its next time, and tenants share patterns.
const patterns = new Map<string, Cron>();
const maxPatterns = 1_000;

/** Of times on the wall: the zone is not its business. @throws when it cannot be read */
export function patternOf(cron: string): Cron {
  const known = patterns.get(cron);
  if (known) return known;
  if (patterns.size >= maxPatterns) patterns.clear();
  // An offset of nothing is UTC too, without the library's asking `Intl` fifty times for each time.
  const pattern = new Cron(cron, { utcOffset: 0, paused: true });
  patterns.set(cron, pattern);
  return pattern;
}

// Each costs some hundredths of a millisecond, and nothing else runs meanwhile.
const maxCounted = 5_000;
/** Of those that passed while nobody looked, so many run at most. */
export const maxCaughtUp = 100;

/**
 * The due times up to `until`, and the one after them. Of an outage with more than some thousands of
 * them, the first and the last: who has been silent for a weekend goes on at once.
 */
export function dueTimes(schedule: Schedule, until: Date): { due: Date[]; next: Date | undefined } {
  const from = schedule.nextAt ? new Date(schedule.nextAt) : undefined;
  const first = timesFrom(schedule, from, until, maxCounted);
  if (!first.next || first.next > until) return first;
  const last = lastTimes(schedule, first.next, until);
  return { due: [...first.due, ...last.due], next: last.next };
}

function timesFrom(timing: Timing, from: Date | undefined, until: Date, limit = Infinity) {
  const due: Date[] = [];
  let next = from;
  for (; next && next <= until && due.length < limit; next = nextTime(timing, next)) due.push(next);
  return { due, next };
}

/** At least those that may still run; of a span that is ever longer, so that it costs what it gives. */
function lastTimes(timing: Timing, from: Date, until: Date) {
  for (let spanMs = 60_000; ; spanMs *= 2) {
    const after = new Date(Math.max(from.getTime() - 1, until.getTime() - spanMs));
    const { due, next } = timesFrom(timing, nextTime(timing, after), until);
    const isAll = after.getTime() < from.getTime();
    if (due.length > maxCaughtUp || isAll) return { due, next };
  }
}

/** After a run of an `every` has ended. */
export const timeAfterRun = (schedule: Timing, endedAt: Date): Date | undefined =>
  schedule.every ? within(schedule, new Date(endedAt.getTime() + toMs(schedule.every))) : undefined;

const within = ({ endsAt }: Timing, at: Date | undefined): Date | undefined =>
  at && endsAt && at > new Date(endsAt) ? undefined : at;

/** The next `count` due times, as far as they are known. */
export function nextTimes(schedule: Schedule, count: number): string[] {
  const times: string[] = [];
  let at = schedule.enabled && schedule.nextAt ? new Date(schedule.nextAt) : undefined;
  while (at && times.length < count) {
    times.push(at.toISOString());
    at = nextTime(schedule, at);
  }
  return times;
}

/** When the job of a due time starts; the same for the same due time, whoever works it out. */
export function startOf({ id, jitter }: Schedule, at: Date): Date {
  if (!jitter) return at;
  const hash = createHash('sha256').update(`${id}\n${at.toISOString()}`).digest();
  const share = hash.readUInt32BE(0) / 2 ** 32;
  return new Date(at.getTime() + Math.floor(share * toMs(jitter)));
}
