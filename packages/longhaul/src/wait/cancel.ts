import type { Submitting } from '../admit/submit.ts';
import { JobEndedError } from '../errors.ts';
import { policyOf } from '../fate/outcome.ts';
import { sendEndMessages } from '../fate/settle.ts';
import { hasEnded, isEnded, type JobRecord } from '../model/job-record.ts';
import { toSignalMessage } from '../model/job-signal.ts';
import type { Log } from '../ports.ts';
import { find } from '../record/find.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import { askedToCancel } from './apply-signals.ts';

/**
 * A job that has not started is cancelled here and now; one that runs is asked to stop, which its
 * worker sees within seconds; one that waits or has steps to undo gets it as news.
 * @throws JobNotFoundError, JobEndedError
 */
export async function cancel(app: Submitting & { log: Log }, id: string): Promise<JobRecord> {
  return retryOnConflict(async () => {
    const { record, etag } = await find(app, id);
    if (hasEnded(record.state)) throw new JobEndedError(id, record.state);
    if (record.cancelRequestedAt) return record;
    const now = app.clock.now();
    if (record.state === 'waiting' || (record.undoable && record.state !== 'running')) {
      // No message of its own lies in a queue that would tell of its end after a crash.
      const once = ['cancel', record.turn];
      await app.queue.send(toSignalMessage(app.topology.completions, id, { kind: 'cancel' }, once));
      return { ...record, cancelRequestedAt: now.toISOString() };
    }
    const policy = policyOf(app.types, record);
    const { record: written } = await app.records.write(askedToCancel(record, policy, now), etag);
    // Its message still lies in its queue; whoever takes it finds the record ended and tells again.
    if (isEnded(written)) await sendEndMessages(app, written);
    return written;
  });
}
