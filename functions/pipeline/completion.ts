/** A completion has come for whoever waits. */
import type { Notes } from './ports.ts';

export interface Completion {
  subject: string;
  type: string;
  time?: string;
  data: { schedule?: string; parent?: string; state: string };
}

/** A schedule learns how its last run ended. (Parents that wait come with the waiting of jobs.) */
export async function takeCompletion({ notes }: { notes: Notes }, event: Completion) {
  const { schedule, state } = event.data;
  if (schedule === undefined) return;
  const last = JSON.stringify({ job: event.subject, state, at: event.time });
  await notes.write('schedule-last-run', schedule, last);
}
