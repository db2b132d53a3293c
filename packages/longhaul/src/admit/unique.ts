/**
 * Equal jobs are one job. A note per equality holds the id of the job that stands for it.
 *
 * The note is claimed before the job is sent. Whoever finds the claim of a job that has no record yet
 * submits under the claimed id: the broker and the record know it, so that a hundred submits at once
 * give one job, and a claim whose maker died is made good by the next.
 */
import { createHash } from 'node:crypto';
import { stringify } from 'safe-stable-stringify';
import { callAuthors } from '../define/authors-code.ts';
import type { KnownType } from '../define/catalogue.ts';
import type { Requester } from '../define/define-job.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import type { KeyValueStore, Records, Removal } from '../ports.ts';

const kind = 'unique';

export const uniqueClaim = (name: string) => `${kind}/${name}`;

type Claiming = { notes: KeyValueStore; records: Records; removal: Pick<Removal, 'removed'> };

/** The name of the equality; undefined for a type whose jobs are each their own. */
export function uniqueName(
  { definition: { type, unique } }: KnownType,
  input: unknown,
  requester: Requester,
): string | undefined {
  if (!unique) return undefined;
  const by = unique.by
    ? callAuthors('`unique.by`', type, () => unique.by?.(input as never, requester))
    : input;
  // Members sorted: the order in which they were written makes no other job.
  const text = stringify({ type, by: by ?? null }) ?? '';
  return createHash('sha256').update(text).digest('hex');
}

/**
 * `standing` is the equal job that is in the way. Without it the job is to be made under `id`: the new
 * one, or one that another has claimed and not recorded yet.
 */
export async function claimUnique(
  { notes, records, removal }: Claiming,
  known: KnownType,
  name: string,
  newId: string,
  now: Date,
): Promise<{ id: string; standing?: JobRecord }> {
  for (;;) {
    const id = await notes.claim(kind, name, newId);
    if (id === newId) return { id };
    const stored = await records.read(id);
    if (stored && standsFor(stored.record, known, now)) return { id, standing: stored.record };
    // A job that was removed may have left its claim.
    if (!stored && !(await removal.removed(id))) return { id };
    if (await takeOver(notes, name, newId, id)) return { id: newId };
  }
}

/** The claim of `id` becomes that of `newId`; false when another was first. */
export const takeOver = (
  notes: KeyValueStore,
  name: string,
  newId: string,
  id: string,
): Promise<boolean> => notes.replace(kind, name, newId, id);

/** True while a new equal job is not to be made. */
export function standsFor(
  record: JobRecord,
  { definition, policy }: KnownType,
  now: Date,
): boolean {
  const { state, attempt, startedAt, finishedAt, waits } = record;
  switch (definition.unique?.until) {
    case 'started':
      if (startedAt || attempt > 1) return false;
      return state === 'scheduled' || state === 'queued' || waits?.pause !== undefined;
    case 'finished':
      return !hasEnded(state);
    case 'expiry': {
      if (!hasEnded(state)) return true;
      if (state !== 'succeeded' || !finishedAt) return false;
      return new Date(finishedAt).getTime() + toMs(policy.keep) > now.getTime();
    }
    default:
      return false;
  }
}
