import { JobExpiredError, JobNotFoundError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Clock, Records, Removal, Stored } from '../ports.ts';

/** @throws JobNotFoundError, or JobExpiredError when what was kept of it has expired */
export async function find(
  { records, removal, clock }: { records: Records; removal: Removal; clock: Clock },
  id: string,
): Promise<Stored> {
  const stored = await records.read(id);
  if (stored && !hasExpired(stored.record, clock.now())) return stored;
  const removedAt = stored?.record.keepUntil ?? (await removal.removed(id))?.at;
  throw removedAt ? new JobExpiredError(id, removedAt) : new JobNotFoundError(id);
}

/** Removed a little later, but no longer shown. */
export const hasExpired = ({ keepUntil }: JobRecord, now: Date): boolean =>
  keepUntil !== undefined && new Date(keepUntil) <= now;
