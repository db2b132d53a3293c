/**
 * A change of a schedule, made as one. Jobs are sent first, under ids that follow from schedule and due
 * time, then the schedule is written, on condition that nobody else wrote: killed in between, whoever
 * looks next sends the same ids, and broker and records refuse the second.
 */

import { type Submitting, submit } from '../admit/submit.ts';
import { originOf, requestOf } from '../define/schedule-definition.ts';
import { isRefusal } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Schedule } from '../model/schedule.ts';
import type { Log, Schedules, StoredSchedule } from '../ports.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import { ended, type Occurrence, type Plan, plan } from './plan.ts';
import { heardFrom } from './watch.ts';

export type Scheduling = Submitting & { schedules: Schedules; log: Log };

// So that a due time before the next look is sent ahead and starts at its second.
export const tickMs = 15_000;

export const horizon = (now: Date): Date => new Date(now.getTime() + tickMs);

/** A plan, up to when it looks, and what becomes of the schedule once all is sent. */
export interface Made extends Plan {
  until?: Date;
  after?(sent: Schedule): Schedule;
}

/** Makes a plan for the newest schedule, sends what it says, writes it; undefined removes it. */
export async function change(
  app: Scheduling,
  id: string,
  make: (stored: StoredSchedule | undefined) => Promise<Made | undefined>,
): Promise<{ schedule?: Schedule; sent: number; created: boolean }> {
  return retryOnConflict(async () => {
    const stored = await app.schedules.read(id);
    const made = await make(stored);
    if (!made) {
      if (stored) await app.schedules.remove(stored);
      return { sent: 0, created: false };
    }
    const { schedule, sent } = await sendAll(app, made);
    // Crash here: the same jobs are sent again, under the same ids.
    if (schedule !== stored?.schedule) await app.schedules.write(schedule, stored);
    return { schedule, sent, created: !stored };
  });
}

/** A run that is over at once may let the next one start. */
async function sendAll(app: Scheduling, made: Made): Promise<{ schedule: Schedule; sent: number }> {
  let { schedule } = made;
  const { after = (all) => all } = made;
  const waiting = [...made.send];
  let sent = 0;
  for (let one = waiting.shift(); one; one = waiting.shift()) {
    const running = schedule.running?.job;
    schedule = await send(app, schedule, one);
    sent++;
    if (running === undefined || schedule.running) continue;
    const now = app.clock.now();
    const more = plan(schedule, now, made.until ?? horizon(now));
    schedule = more.schedule;
    waiting.push(...more.send);
  }
  return { schedule: after(schedule), sent };
}

/** A due time that the type refuses (its schema changed, its lane is gone) is told, not repeated. */
async function send(
  app: Scheduling,
  schedule: Schedule,
  { at, job, runAt }: Occurrence,
): Promise<Schedule> {
  try {
    const origin = { ...originOf(schedule.id, schedule), id: job, scheduledFor: at };
    const { record } = await submit(app, requestOf(schedule, runAt), origin);
    return record.id === job ? schedule : standingFor(schedule, job, record, app.clock.now());
  } catch (error) {
    if (!isRefusal(error)) throw error;
    app.log('error', `schedule ${schedule.id}: ${error.message}`);
    const now = app.clock.now();
    return ended(schedule, { job, state: 'refused', at: now, error: error.message }, now);
  }
}

/** An equal job stands for this run: its end is the run's end. It may be over already. */
function standingFor(schedule: Schedule, job: string, standing: JobRecord, now: Date): Schedule {
  const as = <T extends { job?: string }>(run: T): T =>
    run.job === job ? { ...run, job: standing.id } : run;
  const { running, history } = schedule;
  const known = {
    ...schedule,
    history: history.map(as),
    ...(running ? { running: as(running) } : {}),
  };
  return heardFrom(known, standing, now);
}
