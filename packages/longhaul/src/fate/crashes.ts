/**
 * What counts against a job is only what it did. The broker counts hand-overs, whatever their cause; a
 * run that ended its process shows in the job's record, as one that began and never ended.
 *
 * The first delivery of a turn costs no write. Each later one puts its start on record before the
 * handler begins; an end, a wait, progress or an orderly return takes it away. What was under way when a
 * process died may be to blame or may have run beside the one that is: so it runs beside fewer and fewer
 * others, in the end alone, and only the deaths of a process that had nothing else to do count.
 */
import { NonRetryableError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { IncomingMessage } from '../model/message.ts';
import type { Records } from '../ports.ts';
import type { Lease } from '../record/lease.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';

/** How many may run at once in the process of a job of which that many runs did not end. */
const company = [Number.POSITIVE_INFINITY, 4, 1];
const alone = 1;

export const isDeliveredAgain = ({ deliveries = 1 }: IncomingMessage): boolean => deliveries > 1;

/** How many may run at once in its process, itself included. */
export async function companyOf(
  { records }: { records: Records },
  id: string,
  message: IncomingMessage,
): Promise<number> {
  if (!isDeliveredAgain(message)) return Number.POSITIVE_INFINITY;
  const { starts = [] } = (await records.read(id))?.record ?? {};
  return company[starts.length] ?? alone;
}

/** Before the handler begins. @throws LockLostError */
export function putStart(lease: Lease, at: string, isAlone: boolean): Promise<JobRecord> {
  const start = { owner: lease.owner, at, ...(isAlone ? { alone: true as const } : {}) };
  return lease.writeRunning((record) => ({ ...record, starts: [...(record.starts ?? []), start] }));
}

/** The run ended without a word on record, and its process lives. */
export async function takeBackStart(
  { records }: { records: Records },
  { owner, record: { id, starts } }: Lease,
): Promise<void> {
  if (!starts?.some((one) => one.owner === owner)) return;
  await retryOnConflict(async () => {
    const stored = await records.read(id);
    if (!stored?.record.starts) return;
    const left = stored.record.starts.filter((one) => one.owner !== owner);
    const rest = withoutStarts(stored.record);
    await records.write(left.length > 0 ? { ...rest, starts: left } : rest, stored.etag);
  }).catch(() => undefined);
}

/** It came further, or to an end. */
export function withoutStarts({ starts: _, ...record }: JobRecord): JobRecord {
  return record;
}

/** @throws NonRetryableError, code `crashed`, when it ended its process too often */
export function refuseCrashed({ owner, record: { starts = [] } }: Lease, crashes: number): void {
  const deaths = starts.filter((one) => one.alone && one.owner !== owner);
  if (deaths.length < crashes) return;
  const times = deaths.map(({ at }) => at).join(', ');
  throw new NonRetryableError(
    `The process ended ${deaths.length} times while it ran this job and nothing else (begun ${times}): look in the log for why, such as memory, process.exit or an error thrown from a timer.`,
    { code: 'crashed' },
  );
}
