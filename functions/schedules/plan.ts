/** What is to be done for a schedule now, and what it says afterwards. Without I/O. */
import { idOfOccurrence } from '../model/id.ts';
import type { EndState } from '../model/job-record.ts';
import type { Schedule, ScheduleRun } from '../model/schedule.ts';
import { nextTime, startOf, timeAfterRun } from './times.ts';

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
const maxCaughtUp = 100;
// Of a cron by the second, more than two hours of an outage are not counted one by one.
const maxCounted = 10_000;
const historyLimit = 20;
const watchMs = 10 * 60_000;

/** All that is due up to `until`. */
export function plan(schedule: Schedule, now: Date, until: Date): Plan {
  if (!schedule.enabled || !schedule.nextAt) return { schedule, send: [] };
  const { due, next } = dueTimes(schedule, until);
  if (due.length === 0) return { schedule, send: [] };
  const lateBefore = now.getTime() - graceMs;
  const missed = due.filter((at) => at.getTime() < lateBefore);
  const caughtUp = schedule.misfire === 'skip' ? 0 : schedule.misfire === 'once' ? 1 : maxCaughtUp;
  const dropped = missed.slice(0, Math.max(0, missed.length - caughtUp));
  let planned = withNext(noteMissed(schedule, dropped), next);
  const send: Occurrence[] = [];
  for (const at of due.slice(dropped.length)) {
    const step = meet(planned, at, now);
    planned = step.schedule;
    send.push(...step.send);
  }
  return { schedule: planned, send };
}

function dueTimes(schedule: Schedule, until: Date): { due: Date[]; next: Date | undefined } {
  const due: Date[] = [];
  let next = schedule.nextAt ? new Date(schedule.nextAt) : undefined;
  while (next && next <= until) {
    due.push(next);
    if (due.length > maxCounted) due.shift();
    next = nextTime(schedule, next);
  }
  return { due, next };
}

function withNext({ nextAt: _, ...rest }: Schedule, next: Date | undefined): Schedule {
  return next ? { ...rest, nextAt: next.toISOString() } : rest;
}

function noteMissed(schedule: Schedule, dropped: readonly Date[]): Schedule {
  const last = dropped.at(-1);
  if (!last) return schedule;
  const counts = { ...schedule.counts, missed: schedule.counts.missed + dropped.length };
  return { ...leftOut(schedule, 'missed', last.toISOString(), dropped.length), counts };
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
function meet(schedule: Schedule, at: Date, now: Date): Plan {
  const { overlap, running, pending } = schedule;
  if (overlap === 'allow' || !running) return start(schedule, at, now);
  const text = at.toISOString();
  if (overlap === 'queue' && !pending)
    return { schedule: { ...schedule, pending: text }, send: [] };
  const counts = { ...schedule.counts, skipped: schedule.counts.skipped + 1 };
  return { schedule: { ...leftOut(schedule, 'skipped', text, 1), counts }, send: [] };
}

function start(schedule: Schedule, at: Date, now: Date): Plan {
  const job = idOfOccurrence(schedule.id, at);
  const runAt = startOf(schedule, at);
  const known = started(schedule, at, job, runAt > now ? runAt : now);
  const send = [{ at, job, runAt }];
  const told = schedule.early?.find((end) => end.job === job);
  if (!told) return { schedule: known, send };
  const after = ended(known, job, told.state, new Date(told.at));
  return { schedule: after.schedule, send: [...send, ...after.send] };
}

/** A run is under way. */
function started(schedule: Schedule, at: Date, job: string, since: Date): Schedule {
  const counts = { ...schedule.counts, runs: schedule.counts.runs + 1 };
  const known = withRun(schedule, { at: at.toISOString(), job, state: 'running' });
  if (schedule.overlap === 'allow' && !schedule.every) return { ...known, counts };
  const watchAt = new Date(since.getTime() + watchMs).toISOString();
  return { ...known, counts, running: { job, since: since.toISOString(), watchAt } };
}

/** A run that somebody asked for; it holds up nobody that runs already. */
export function ranBeside(schedule: Schedule, now: Date, job: string): Schedule {
  const { running } = schedule;
  const noted = { ...started(schedule, now, job, now), ...(running ? { running } : {}) };
  const told = schedule.early?.find((end) => end.job === job);
  return told ? ended(noted, job, told.state, new Date(told.at)).schedule : noted;
}

/** A run has ended; what waited for that is sent. The same schedule when it knew. */
export function ended(
  schedule: Schedule,
  job: string,
  state: EndState | 'lost' | 'refused',
  at: Date,
  error?: string,
): Plan {
  const run = schedule.history.find((one) => one.job === job);
  const isRunning = schedule.running?.job === job;
  if (!isRunning && !run && state !== 'lost' && state !== 'refused')
    // Faster than the one who sent it: who finds the run under way finds its end here.
    return { schedule: withEarly(schedule, { job, state, at: at.toISOString() }), send: [] };
  if (!isRunning && run?.state !== 'running') return { schedule, send: [] };
  const which = state === 'succeeded' ? 'succeeded' : 'failed';
  const counts = { ...schedule.counts, [which]: schedule.counts[which] + 1 };
  const history = schedule.history.map((one) =>
    one.job === job
      ? { ...one, state, endedAt: at.toISOString(), ...(error ? { error } : {}) }
      : one,
  );
  const early = schedule.early?.filter((end) => end.job !== job) ?? [];
  const { early: _e, ...known } = schedule;
  const told = { ...known, counts, history, ...(early.length > 0 ? { early } : {}) };
  if (!isRunning) return { schedule: told, send: [] };
  const { running: _r, pending, ...free } = told;
  if (pending && free.enabled) return start(free, new Date(pending), at);
  const next = timeAfterRun(free, at);
  return { schedule: next ? withNext(free, next) : free, send: [] };
}

/** Nothing was heard of the run yet: look again later. */
export function stillRunning(schedule: Schedule, now: Date): Schedule {
  const { running } = schedule;
  const watchAt = new Date(now.getTime() + watchMs).toISOString();
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
