/**
 * Decides what is due and sends it. Runs no job itself.
 *
 * Jobs are sent first, under ids that follow from schedule and due time, then the schedule is written:
 * killed in between, the next look sends the same ids, and broker and records refuse the second. Two
 * that look at once do the same.
 */
import { isRefusal } from '../errors.ts';
import { toMs } from '../model/duration.ts';
import { type EndState, hasEnded } from '../model/job-record.ts';
import type { Schedule } from '../model/schedule.ts';
import type { KnownType } from '../pipeline/catalogue.ts';
import { untilWritten } from '../pipeline/contested.ts';
import { inParts } from '../pipeline/in-parts.ts';
import type { Log, StoredSchedule } from '../pipeline/ports.ts';
import { submit } from '../pipeline/submit.ts';
import { originOf, requestOf, type Scheduling } from './change.ts';
import { syncDeclared } from './declared.ts';
import { ended, type Occurrence, type Plan, plan, stillRunning } from './plan.ts';

export type Ticking = Scheduling & { log: Log };

// So that a due time before the next tick is sent ahead and starts at its second.
export const tickMs = 15_000;

const atOnce = 100;

/** Answers how many jobs it sent. */
export async function tick(app: Ticking): Promise<number> {
  await syncDeclared(app);
  const until = new Date(app.clock.now().getTime() + tickMs);
  let sent = 0;
  for await (const ids of app.schedules.due(until))
    for (const count of await inParts(ids, atOnce, (id) => lookAt(app, id, until))) sent += count;
  return sent;
}

async function lookAt(app: Ticking, id: string, until: Date): Promise<number> {
  try {
    return await change(app, id, async ({ schedule }) => {
      if (isOrphan(app, schedule)) return undefined;
      const watched = await watch(app, schedule);
      const due = plan(watched.schedule, app.clock.now(), until);
      return { schedule: due.schedule, send: [...watched.send, ...due.send] };
    });
  } catch (error) {
    // One that cannot be run must not hold up the others.
    app.log('error', `schedule ${id}: ${(error as Error).message}`);
    return 0;
  }
}

/** Declared once, and no longer in the code. */
const isOrphan = ({ types }: Ticking, { declared, id }: Schedule): boolean =>
  declared === true &&
  !types.all.some(({ definition }) => definition.schedules?.some((known) => known.id === id));

/** Makes a plan for the newest schedule, sends what it says, writes it; undefined removes it. */
async function change(
  app: Ticking,
  id: string,
  make: (stored: StoredSchedule) => Promise<Plan | undefined>,
): Promise<number> {
  return untilWritten(async () => {
    const stored = await app.schedules.read(id);
    if (!stored) return 0;
    const made = await make(stored);
    if (!made) {
      await app.schedules.remove(stored);
      return 0;
    }
    let { schedule } = made;
    for (const occurrence of made.send) schedule = await send(app, schedule, occurrence);
    // Crash here: the same jobs are sent again, under the same ids.
    if (schedule !== stored.schedule) await app.schedules.write(schedule, stored);
    return made.send.length;
  });
}

/** A due time that the type refuses (its schema changed, its lane is gone) is told, not repeated. */
async function send(
  app: Ticking,
  schedule: Schedule,
  { at, job, runAt }: Occurrence,
): Promise<Schedule> {
  try {
    const origin = { ...originOf(schedule.id, schedule), id: job, scheduledFor: at };
    const { record } = await submit(app, requestOf(schedule, runAt), origin);
    return record.id === job ? schedule : runsAs(schedule, job, record.id);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    app.log('error', `schedule ${schedule.id}: ${error.message}`);
    return ended(schedule, job, 'refused', app.clock.now(), error.message).schedule;
  }
}

/** An equal job stands for this run: its end is the run's end. */
function runsAs(schedule: Schedule, job: string, standing: string): Schedule {
  const history = schedule.history.map((run) =>
    run.job === job ? { ...run, job: standing } : run,
  );
  const { running } = schedule;
  return {
    ...schedule,
    history,
    ...(running?.job === job ? { running: { ...running, job: standing } } : {}),
  };
}

/** A run that should have been heard of: its word was lost, or its message. */
async function watch(app: Ticking, schedule: Schedule): Promise<Plan> {
  const { running } = schedule;
  const now = app.clock.now();
  if (!running || new Date(running.watchAt) > now) return { schedule, send: [] };
  const stored = await app.records.read(running.job);
  if (stored && hasEnded(stored.record.state)) {
    const { state, finishedAt } = stored.record;
    return ended(schedule, running.job, state, finishedAt ? new Date(finishedAt) : now);
  }
  const known = app.types.find(schedule.type);
  const overdue = now.getTime() - new Date(running.since).getTime() > longestMs(known);
  if (stored && (stored.record.state === 'waiting' || !overdue))
    return { schedule: stillRunning(schedule, now), send: [] };
  app.log('warn', `schedule ${schedule.id}: job ${running.job} is lost; the schedule goes on`);
  return ended(schedule, running.job, 'lost', now);
}

const hourMs = 3_600_000;

/** So long a job may take that is tried as often as its type allows, and then some. */
function longestMs(known: KnownType | undefined): number {
  if (!known) return hourMs;
  const { timeout, attempts, backoff } = known.policy;
  const wait = typeof backoff === 'function' ? hourMs : toMs(backoff.max ?? '10m');
  return attempts * (toMs(timeout) + wait) + hourMs;
}

/** A completion has come. */
export async function runEnded(
  app: Ticking,
  id: string,
  job: string,
  state: EndState,
  at: Date,
): Promise<void> {
  await change(app, id, async ({ schedule }) => ended(schedule, job, state, at));
}
