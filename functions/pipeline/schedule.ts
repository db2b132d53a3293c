/** Recurring jobs declared in code: what is due, and the one job that each due time gives. */
import { Cron } from 'croner';
import type { DeclaredSchedule } from '../define-job.ts';
import { idOf } from '../model/id.ts';
import type { Log, Notes } from './ports.ts';
import { type Submitting, submit } from './submit.ts';

type Scheduling = Submitting & { notes: Notes; log: Log };

// So that a due time before the next tick is sent ahead and starts at its second.
export const tickMs = 15_000;

/**
 * Due times after `after` and up to `until`; of those that were missed (before `now`) the last only:
 * an outage of a day gives one run, not hundreds.
 */
export function dueTimes(
  { cron, timeZone = 'UTC' }: Pick<DeclaredSchedule<unknown>, 'cron' | 'timeZone'>,
  after: Date,
  now: Date,
  until: Date,
): Date[] {
  const pattern = new Cron(cron, { timezone: timeZone, paused: true });
  const due: Date[] = [];
  let missed: Date | undefined;
  for (let next = pattern.nextRun(after); next && next <= until; next = pattern.nextRun(next)) {
    if (next < now) missed = next;
    else due.push(next);
  }
  return missed ? [missed, ...due] : due;
}

/**
 * Submits every occurrence that is due before the next tick. The job's id follows from schedule and
 * time: killed before the note is written, the next tick sends the same ids, and the broker and the
 * record refuse the second.
 */
export async function runDueSchedules(app: Scheduling): Promise<number> {
  let submitted = 0;
  for (const { definition } of app.types.all)
    for (const schedule of definition.schedules ?? [])
      try {
        submitted += await runDue(app, definition.type, schedule);
      } catch (error) {
        // One that cannot be submitted must not hold up the others.
        app.log('error', `schedule ${schedule.id}: ${(error as Error).message}`);
      }
  return submitted;
}

async function runDue(
  app: Scheduling,
  type: string,
  schedule: DeclaredSchedule<unknown>,
): Promise<number> {
  const now = app.clock.now();
  const until = new Date(now.getTime() + tickMs);
  const noted = await app.notes.read('schedule', schedule.id);
  // A schedule that is seen for the first time begins now, not in the past.
  const due = dueTimes(schedule, noted ? new Date(noted) : now, now, until);
  for (const at of due)
    await submit(
      app,
      { type, input: schedule.input, options: { runAt: at } },
      { id: idOf(schedule.id, at), schedule: schedule.id, scheduledFor: at },
    );
  await app.notes.write('schedule', schedule.id, until.toISOString());
  return due.length;
}
