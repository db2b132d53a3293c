/** When a schedule is due. Without I/O. */
import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import { toMs } from '../model/duration.ts';
import type { Schedule, ScheduleDefinition } from '../model/schedule.ts';

type Timing = Pick<
  ScheduleDefinition,
  'cron' | 'timeZone' | 'every' | 'at' | 'startsAt' | 'endsAt'
>;

/** The first due time of a schedule that nobody has run yet. */
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
  const start = startsAt ? new Date(new Date(startsAt).getTime() - 1) : after;
  const next = patternOf(cron, timeZone).nextRun(start > after ? start : after);
  return within(timing, next ?? undefined);
}

// Reading a pattern costs as much as looking for its next time, and tenants share patterns.
const patterns = new Map<string, Cron>();
const maxPatterns = 1_000;

function patternOf(cron: string, timezone: string): Cron {
  const name = `${timezone} ${cron}`;
  const known = patterns.get(name);
  if (known) return known;
  if (patterns.size >= maxPatterns) patterns.clear();
  const pattern = new Cron(cron, { timezone, paused: true });
  patterns.set(name, pattern);
  return pattern;
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
