/** The ends of jobs by who asked for them, so that a page can say "your report is ready". */
import { createHash } from 'node:crypto';
import type { EndedRecord } from '../model/job-record.ts';
import { endOf } from '../model/names.ts';
import type { KeyValueStore } from '../ports.ts';

export interface Announcement {
  /** Sorts by the time of the end. */
  id: string;
  job: string;
  type: string;
  state: string;
  finishedAt: string;
}

// A name may hold anything and be as long as it likes; a key of storage may not.
const kindOf = (requestedBy: string) =>
  `ended ${createHash('sha256').update(requestedBy).digest('hex')}`;

/**
 * Nothing for a job of which nobody says who asked for it, and for one that has expired: nobody would
 * take it away again. Done twice it is done once.
 */
export async function announce(
  notes: KeyValueStore,
  record: EndedRecord,
  now: Date,
): Promise<void> {
  const { id, type, state, requestedBy, finishedAt, keepUntil } = record;
  if (!requestedBy || new Date(keepUntil) <= now) return;
  const value = JSON.stringify({ job: id, type, state, finishedAt });
  await notes.write(kindOf(requestedBy), endOf(id, finishedAt), value);
}

/** Oldest first, page by page: somebody may ask for thousands of jobs in a minute. */
export async function* announcedAfter(
  notes: KeyValueStore,
  requestedBy: string,
  from: Date,
): AsyncGenerator<Announcement[], void, void> {
  let after = from.toISOString();
  for (;;) {
    const found = await notes.after(kindOf(requestedBy), after);
    const last = found.at(-1);
    if (!last) return;
    yield found.map(({ name, value }) => ({ id: name, ...JSON.parse(value) }) as Announcement);
    after = last.name;
  }
}

export async function withdraw(notes: KeyValueStore, record: EndedRecord): Promise<void> {
  const { id, requestedBy, finishedAt } = record;
  if (requestedBy) await notes.remove(kindOf(requestedBy), endOf(id, finishedAt));
}
