import { ConflictError, JobEndedError, JobNotFoundError } from '../errors.ts';
import type { EndedRecord } from '../model/event.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { cancelled, tellings } from './outcome.ts';
import type { Submitting } from './submit.ts';

/**
 * A job that has not started is cancelled here and now; one that runs is asked to stop, which its
 * worker sees within seconds. @throws JobNotFoundError, JobEndedError
 */
export async function cancel(app: Submitting, id: string): Promise<JobRecord> {
  for (;;) {
    const stored = await app.records.read(id);
    if (!stored) throw new JobNotFoundError(id);
    const { record, etag } = stored;
    if (hasEnded(record.state)) throw new JobEndedError(id, record.state);
    if (record.cancelRequestedAt) return record;
    const cancelRequestedAt = app.clock.now().toISOString();
    const next =
      record.state === 'running'
        ? { ...record, cancelRequestedAt }
        : cancelled({ ...record, cancelRequestedAt }, app.clock.now());
    try {
      const { record: written } = await app.records.write(next, etag);
      if (hasEnded(written.state)) await tell(app, written as EndedRecord);
      return written;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}

// The message still lies in its queue; whoever takes it finds the record ended and answers again.
async function tell(app: Submitting, record: EndedRecord): Promise<void> {
  for (const message of tellings(record, app.topology.completions)) await app.queue.send(message);
}
