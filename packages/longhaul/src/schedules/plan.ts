/**
 * What is to be done for a schedule now, and what it says afterwards. Without I/O.
 *
 * Whether a due time overlaps with a run is judged once the due time has come: until then the run may
 * end. So while one is under way the due times ahead are left to the next look, or to the run's end.
 */

import { dueTimes, maxCaughtUp, nextTime, startOf, timeAfterRun } from '../define/times.ts';
import { idOfOccurrence } from '../model/id.ts';
import type { EndState } from '../model/job-record.ts';
import { isHeldUp, type Schedule, type ScheduleRun } from '../model/schedule.ts';

/** A job that is to be sent. */
export interface Occurrence {
  at: Date;
  job: string;
  runAt: Date;
}

export interface Plan {
  schedule: Schedule;
  send: Occurrence[];
}

// A look that is a little late is no outage.
const graceMs = 60_000;
export const historyLimit = 20;
const watchMs = 10 * 60_000;

/** What waits and may start, and all that is due up to `until`. */
export function plan(schedule: Schedule, now: Date, until: Date): Plan {
  if (!schedule.enabled) return { schedule, send: [] };
  let planned = startPending(schedule, now);
  const { due, next } = dueTimes(planned.schedule, until);
  if (due.length === 0) return planned;
  const lateBefore = now.getTime() - graceMs;
  const missed = due.filter((at) => at.getTime() < lateBefore);
  const caughtUp = { skip: 0, once: 1, all: maxCaughtUp }[schedule.misfire];
  const dropped = missed.slice(0, Math.max(0, missed.length - caughtUp));
  planned = { ...planned, schedule: noteMissed(planned.schedule, dropped) };
  for (const at of due.slice(dropped.length)) {
    if (at > now && isHeldUp(planned.schedule))
      return { ...planned, schedule: withNext(planned.schedule, at) };
    const { schedule: met, send } = meet(planned.schedule, at, now);
    planned = { schedule: met, send: [...planned.send, ...send] };
  }
  if (!schedule.every) return { ...planned, schedule: withNext(planned.schedule, next) };
  // One that runs says itself when it is next; one that was left out has no end to count from.
  const isLeftOut = dropped.length === due.length;
  const after = timeAfterRun(schedule, now);
  return isLeftOut ? { ...planned, schedule: withNext(planned.schedule, after) } : planned;
}

/** The due time that is next and so long past that `misfire` decides on it. */
export function missedFirst(schedule: Schedule, now: Date): Date | undefined {
  const { enabled, nextAt } = schedule;
  const at = enabled && nextAt ? new Date(nextAt) : undefined;
  return at && at.getTime() < now.getTime() - graceMs ? at : undefined;
}

/** Its job was sent by somebody who died before he wrote so: it is a run, and not missed. */
export function sentBefore(schedule: Schedule, at: Date, now: Date): Schedule {
  const known = start(decided(schedule, at.toISOString()), at, now).schedule;
  return schedule.every ? known : withNext(known, nextTime(schedule, at));
}

function startPending(schedule: Schedule, now: Date): Plan {
  const { pending, ...rest } = schedule;
  return pending === undefined || isHeldUp(schedule)
    ? { schedule, send: [] }
    : start(rest, new Date(pending), now);
}

function withNext({ nextAt: _, ...rest }: Schedule, next: Date | undefined): Schedule {
  return next ? { ...rest, nextAt: next.toISOString() } : rest;
}

/** A due time that is decided on is not decided on again. */
function decided(schedule: Schedule, at: string): Schedule {
  const { lastAt = at } = schedule;
  return { ...schedule, lastAt: lastAt > at ? lastAt : at };
}

function noteMissed(schedule: Schedule, dropped: readonly Date[]): Schedule {
  const last = dropped.at(-1)?.toISOString();
  if (last === undefined) return schedule;
  const counts = { ...schedule.counts, missed: schedule.counts.missed + dropped.length };
  return decided({ ...leftOut(schedule, 'missed', last, dropped.length), counts }, last);
}

/** In one line of the history, so that it does not push the runs out. */
function leftOut(
  schedule: Schedule,
  state: 'missed' | 'skipped',
  at: string,
  count: number,
): Schedule {
  const last = schedule.history.at(-1);
  if (last?.state !== state)
    return withRun(schedule, { at, state, ...(count > 1 ? { count } : {}) });
  const more = { at, state, count: (last.count ?? 1) + count };
  return { ...schedule, history: [...schedule.history.slice(0, -1), more] };
}

/** One due time meets the run before it. */
function meet(before: Schedule, at: Date, now: Date): Plan {
  const text = at.toISOString();
  const schedule = decided(before, text);
  if (!isHeldUp(schedule)) return start(schedule, at, now);
  if (schedule.overlap === 'queue' && !schedule.pending)
    return { schedule: { ...schedule, pending: text }, send: [] };
  const counts = { ...schedule.counts, skipped: schedule.counts.skipped + 1 };
  return { schedule: { ...leftOut(schedule, 'skipped', text, 1), counts }, send: [] };
}

function start(schedule: Schedule, at: Date, now: Date): Plan {
  const job = idOfOccurrence(schedule.id, at, schedule.salt);
  const runAt = startOf(schedule, at);
  const known = started(schedule, at, job, runAt > now ? runAt : now);
  return { schedule: endedEarly(known, job, now), send: [{ at, job, runAt }] };
}

/** A run is under way. */
function started(schedule: Schedule, at: Date, job: string, since: Date): Schedule {
  const counts = { ...schedule.counts, runs: schedule.counts.runs + 1 };
  const known = {
    ...withRun(schedule, { at: at.toISOString(), job, state: 'running' as const }),
    counts,
  };
  if (schedule.overlap === 'allow' && !schedule.every) return known;
  return underWay(known, job, since);
}

/** Others wait for this run. What an `every` counts from is its end. */
export function underWay(schedule: Schedule, job: string, since: Date): Schedule {
  const watchAt = new Date(since.getTime() + watchMs).toISOString();
  const held = { ...schedule, running: { job, since: since.toISOString(), watchAt } };
  return schedule.every ? withNext(held, undefined) : held;
}

/** Its end may have been told before the run was on record. */
function endedEarly(schedule: Schedule, job: string, now: Date): Schedule {
  const told = schedule.early?.find((end) => end.job === job);
  return told ? closed(schedule, { job, state: told.state, at: new Date(told.at) }, now) : schedule;
}

/**
 * A run that somebody asked for; it holds up nobody that runs already. Said again it changes nothing.
 */
export function ranBeside(schedule: Schedule, now: Date, job: string): Schedule {
  const { running, history } = schedule;
  if (history.some((run) => run.job === job)) return schedule;
  const noted = { ...started(schedule, now, job, now), ...(running ? { running } : {}) };
  return endedEarly(noted, job, now);
}

/** How a run ended. */
export interface End {
  job: string;
  state: EndState | 'lost' | 'refused';
  at: Date;
  error?: string;
}

/** A run has ended; who plans next starts what waited for that. The same schedule when it knew. */
export function ended(schedule: Schedule, end: End, now: Date): Schedule {
  const { job, state, at } = end;
  const run = schedule.history.find((one) => one.job === job);
  const isRunning = schedule.running?.job === job;
  if (!isRunning && !run)
    // Faster than the one who sent it: who finds the run under way finds its end here.
    return state === 'lost' || state === 'refused'
      ? schedule
      : withEarly(schedule, { job, state, at: at.toISOString() });
  if (!isRunning && run?.state !== 'running') return schedule;
  return closed(isRunning ? metUntil(schedule, earlier(at, now)) : schedule, end, now);
}

// A worker's clock may be ahead of ours.
const earlier = (at: Date, now: Date) => (at < now ? at : now);

/** What was due while the run was under way, if nobody has looked since. */
function metUntil(schedule: Schedule, at: Date): Schedule {
  if (!isHeldUp(schedule)) return schedule;
  const { due, next } = dueTimes(schedule, at);
  if (due.length === 0) return schedule;
  const met = due.reduce((known, one) => meet(known, one, at).schedule, schedule);
  return withNext(met, next);
}

function closed(schedule: Schedule, { job, state, at, error }: End, now: Date): Schedule {
  const which = state === 'succeeded' ? 'succeeded' : 'failed';
  const counts = { ...schedule.counts, [which]: schedule.counts[which] + 1 };
  const history = schedule.history.map((one) =>
    one.job === job
      ? { ...one, state, endedAt: at.toISOString(), ...(error ? { error } : {}) }
      : one,
  );
  const early = schedule.early?.filter((end) => end.job !== job) ?? [];
  const { early: _e, running, ...rest } = schedule;
  const { lastAt } = rest;
  const told = { ...rest, counts, history, ...(early.length > 0 ? { early } : {}) };
  if (running && running.job !== job) return { ...told, running };
  if (!running) return told;
  // By a clock that is behind it ended before it was due: the next due time is another all the same.
  const end = Math.max(earlier(at, now).getTime(), lastAt ? Date.parse(lastAt) : 0);
  const next = timeAfterRun(told, new Date(end));
  return next ? withNext(told, next) : told;
}

/** Nothing was heard of the run yet: look again later. */
export function stillRunning(schedule: Schedule, now: Date, againMs = watchMs): Schedule {
  const { running } = schedule;
  const watchAt = new Date(now.getTime() + againMs).toISOString();
  return running ? { ...schedule, running: { ...running, watchAt } } : schedule;
}

function withEarly(schedule: Schedule, end: NonNullable<Schedule['early']>[number]): Schedule {
  const others = schedule.early?.filter(({ job }) => job !== end.job) ?? [];
  return { ...schedule, early: [...others, end].slice(-historyLimit) };
}

const withRun = (schedule: Schedule, run: ScheduleRun): Schedule => ({
  ...schedule,
  history: [...schedule.history, run].slice(-historyLimit),
});
