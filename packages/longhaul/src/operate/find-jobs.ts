/** Jobs by what is known of them, newest first. What no column serves is looked for, for two seconds at most. */
import type { JobRecord, State } from '../model/job-record.ts';
import type { RecordFilter } from '../ports.ts';
import { hasExpired } from '../record/find.ts';
import type { Working } from '../run/attempt.ts';

export interface Wanted extends Omit<RecordFilter, 'states'> {
  state?: State | undefined;
  /** In the error's name or message. */
  error?: string | undefined;
  /** In the id. */
  id?: string | undefined;
}

export interface FoundJobs {
  records: JobRecord[];
  cursor: string | undefined;
  /** How far back it looked, when that was not to the end. */
  searchedTo: string | undefined;
}

const lookForMs = 2_000;

/** What the broker makes ready without a word to the record is queued. */
export const shownState = ({ state, runAt }: JobRecord, now: Date): State =>
  state === 'scheduled' && runAt !== undefined && new Date(runAt) <= now ? 'queued' : state;

export async function findJobs(
  { records, clock }: Pick<Working, 'records' | 'clock'>,
  wanted: Wanted,
  limit: number,
  from: string | undefined,
): Promise<FoundJobs> {
  const until = clock.now().getTime() + lookForMs;
  const filter = toFilter(wanted);
  const found: JobRecord[] = [];
  for (let cursor = from; ; ) {
    // No more than are still wanted, as a cursor stands behind a whole page.
    const page = await records.list(filter, limit - found.length, cursor);
    const now = clock.now();
    found.push(...page.records.filter((record) => isWanted(record, wanted, now)));
    cursor = page.cursor;
    if (!cursor) return { records: found, cursor, searchedTo: undefined };
    if (found.length >= limit || now.getTime() >= until)
      return { records: found, cursor, searchedTo: page.records.at(-1)?.createdAt };
  }
}

function toFilter({ state, error: _e, id: _i, ...filter }: Wanted): RecordFilter {
  if (state === undefined) return filter;
  return { ...filter, states: state === 'queued' ? ['queued', 'scheduled'] : [state] };
}

function isWanted(record: JobRecord, { state, from, to, error, id }: Wanted, now: Date): boolean {
  const { createdAt, error: met } = record;
  return (
    !hasExpired(record, now) &&
    (state === undefined || shownState(record, now) === state) &&
    (from === undefined || createdAt >= from.toISOString()) &&
    (to === undefined || createdAt < to.toISOString()) &&
    (error === undefined || `${met?.name}: ${met?.message}`.includes(error)) &&
    (id === undefined || record.id.includes(id))
  );
}
