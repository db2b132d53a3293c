/** A job that has ended is removed at once: its record, its blobs, its claims. */
import { tableKeyOf } from '../model/id.ts';
import { isEnded } from '../model/job-record.ts';
import { removeNow } from '../record/expiry.ts';
import { find } from '../record/find.ts';
import type { Working } from '../run/attempt.ts';
import { JobNotEndedError } from './errors.ts';

/** @throws JobNotFoundError, JobNotEndedError */
export async function removeJob(app: Working, id: string): Promise<void> {
  const { record } = await find(app, id);
  if (!isEnded(record)) throw new JobNotEndedError(id, record.state);
  await removeNow(app, tableKeyOf(id).partition, [record]);
}
