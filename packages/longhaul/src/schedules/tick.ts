/** Looks at what is due and at runs that should have been heard of. Runs no job itself. */
import type { EndState } from '../model/job-record.ts';
import type { Schedule } from '../model/schedule.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { change, horizon, type Scheduling } from './apply.ts';
import { syncDeclared } from './declared.ts';
import { ended, plan } from './plan.ts';
import { watched } from './watch.ts';

export type Ticking = Scheduling;

const atOnce = 100;

/** Answers how many jobs it sent. */
export async function tick(app: Ticking): Promise<number> {
  await syncDeclared(app);
  let sent = 0;
  for await (const ids of app.schedules.due(horizon(app.clock.now())))
    for (const count of await mapInChunks(ids, atOnce, (id) => lookAt(app, id))) sent += count;
  return sent;
}

async function lookAt(app: Ticking, id: string): Promise<number> {
  try {
    const { sent } = await change(app, id, async (stored) => {
      if (!stored || isOrphan(app, stored.schedule)) return undefined;
      const schedule = await watched(app, stored.schedule);
      const now = app.clock.now();
      return plan(schedule, now, horizon(now));
    });
    return sent;
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

/** A completion has come: what waited for it starts, and what is due next is sent ahead. */
export async function runEnded(
  app: Ticking,
  id: string,
  job: string,
  state: EndState,
  at: Date,
): Promise<void> {
  await change(app, id, async (stored) => {
    if (!stored) return undefined;
    const { schedule } = stored;
    const now = app.clock.now();
    const known = ended(schedule, { job, state, at }, now);
    return known === schedule ? { schedule, send: [] } : plan(known, now, horizon(now));
  });
}
