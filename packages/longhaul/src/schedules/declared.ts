/** Schedules that stand in the code of job types are kept like those that were made at run time. */
import type { DeclaredSchedule } from '../define/define-job.ts';
import { sameDefinition } from '../define/schedule-definition.ts';
import { isRefusal } from '../errors.ts';
import type { ScheduleDefinition } from '../model/schedule.ts';
import type { Scheduling } from './apply.ts';
import { putSchedule } from './change.ts';

/** Before each tick: another version of the app may have removed what this one has. */
export async function syncDeclared(app: Scheduling): Promise<void> {
  const all = app.types.all.flatMap(({ definition: { type, schedules = [] } }) =>
    schedules.map((schedule) => sync(app, type, schedule)),
  );
  await Promise.all(all);
}

async function sync(
  app: Scheduling,
  type: string,
  schedule: DeclaredSchedule<unknown>,
): Promise<void> {
  const stored = (await app.schedules.read(schedule.id))?.schedule;
  // Paused by hand it stays paused.
  const definition = toDefinition(type, schedule, stored?.enabled ?? true);
  if (stored?.declared && sameDefinition(stored, definition)) return;
  try {
    await putSchedule(app, schedule.id, definition, true);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // Its input does not fit, say: that must not hold up the others.
    app.log('error', `schedule ${schedule.id}: ${error.message}`);
  }
}

function toDefinition(
  type: string,
  { id: _, ...declared }: DeclaredSchedule<unknown>,
  enabled: boolean,
): ScheduleDefinition {
  return { type, overlap: 'skip', misfire: 'once', ...declared, enabled };
}
