/** Schedules that stand in the code of job types are kept like those that were made at run time. */
import type { DeclaredSchedule } from '../define-job.ts';
import type { ScheduleDefinition } from '../model/schedule.ts';
import { putSchedule, type Scheduling } from './change.ts';

/** Before each tick: another version of the app may have removed what this one has. */
export async function syncDeclared(app: Scheduling): Promise<void> {
  const all = app.types.all.flatMap(({ definition }) =>
    (definition.schedules ?? []).map((schedule) => ({ type: definition.type, schedule })),
  );
  await Promise.all(
    all.map(async ({ type, schedule }) => {
      const stored = await app.schedules.read(schedule.id);
      // Paused by hand it stays paused.
      const enabled = stored?.schedule.enabled ?? true;
      await putSchedule(app, schedule.id, toDefinition(type, schedule, enabled), true);
    }),
  );
}

function toDefinition(
  type: string,
  { id: _, ...declared }: DeclaredSchedule<unknown>,
  enabled: boolean,
): ScheduleDefinition {
  return { type, overlap: 'skip', misfire: 'once', ...declared, enabled };
}
