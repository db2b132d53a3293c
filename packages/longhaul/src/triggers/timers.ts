import { app } from '@azure/functions';
import { sendParked } from '../operate/pause.ts';
import { removeExpired } from '../record/expiry.ts';
import type { Working } from '../run/attempt.ts';
import { watchDeadLetters, watchDeadSignals } from '../run/dead-letters.ts';
import { forgetSilent } from '../run/heartbeat.ts';
import { tick } from '../schedules/tick.ts';

// The alert on a silent scheduler (bicep/alerts.bicep) listens for this line.
export const heartbeat = 'longhaul.scheduler alive';
const heartbeatMs = 5 * 60_000;
// Before the next tick.
const parkedMs = 10_000;

/** Recurring jobs, and the removal of those nobody asks for any more. One instance runs each. */
export function registerTimers(worker: Working): void {
  let lastBeat = Number.NEGATIVE_INFINITY;
  app.timer('run-schedules', {
    // Every `tickMs`.
    schedule: '*/15 * * * * *',
    handler: async () => {
      const submitted = await tick(worker);
      if (submitted > 0) worker.log('info', `schedules: ${submitted} due`);
      await sendParked(worker, parkedMs);
      const now = worker.clock.now().getTime();
      if (now - lastBeat < heartbeatMs) return;
      lastBeat = now;
      worker.log('info', heartbeat);
    },
  });
  app.timer('remove-expired', {
    schedule: '30 * * * * *',
    handler: async () => {
      const removed = await removeExpired(worker);
      await forgetSilent(worker);
      if (removed > 0) worker.log('info', `${removed} expired jobs removed`);
    },
  });
  app.timer('watch-dead-letters', {
    // What the broker gave up on, in all lanes, whoever works them: each look of each app is billed.
    schedule: '*/30 * * * * *',
    handler: async () => {
      for (const queue of worker.topology.lanes.flatMap(({ plain, keyed }) => [plain, keyed]))
        await alone(worker, queue, () => watchDeadLetters(worker, queue));
      await alone(worker, worker.topology.completions, () => watchDeadSignals(worker));
    },
  });
}

/** One queue that cannot be looked at holds up no other. */
async function alone({ log }: Working, queue: string, look: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } catch (error) {
    log('error', `dead letters of ${queue}: ${(error as Error).message}`, { error });
  }
}
