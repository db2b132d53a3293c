/**
 * Applies a transition in the one order that survives a crash between any two lines.
 *
 * The record is written first, on condition that it is still ours: from then on the outcome stands,
 * and whatever is done again follows from it (`consequences`), under message ids that the broker
 * recognises. The delivery is answered last: until then it comes back to whoever takes it next.
 */
import { LockLostError, QueueNotFoundError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import { keepBody } from './claim-check.ts';
import type { Lease } from './lease.ts';
import type { Settlement, Transition } from './outcome.ts';
import type { Blobs, Delivery, Log, Queue } from './ports.ts';

export async function settle(
  { queue, blobs, log }: { queue: Queue; blobs: Blobs; log: Log },
  { record, sends, message }: Transition,
  delivery: Delivery,
  lease?: Lease,
): Promise<void> {
  // Crash here: the attempt is run again from its checkpoint.
  if (record !== 'untouched' && lease) {
    // The message goes to the dead letters, where nothing reaches it by its id.
    const input =
      record.state === 'failed'
        ? { input: await keepBody(blobs, record.id, delivery.message) }
        : undefined;
    try {
      await lease.write((newest) => ({ ...keepNews(record, newest), ...input }));
    } catch (error) {
      if (!(error instanceof LockLostError)) throw error;
      await answer(delivery, { kind: 'leave' });
      return;
    }
  }
  // Crash here: the next delivery finds the record decided and does the rest.
  for (const send of sends) {
    try {
      await queue.send(send);
    } catch (error) {
      // A reply queue that was removed must not hold up the job.
      if (!(error instanceof QueueNotFoundError)) throw error;
      log(
        'warn',
        `job ${send.subject ?? send.messageId}: ${error.message} The message is dropped.`,
      );
    }
  }
  // Crash here: the same, and the broker drops the second copy of each send.
  await answer(delivery, message);
}

/** What was asked of the job while it ended stays on record. */
function keepNews(record: JobRecord, { cancelRequestedAt }: JobRecord): JobRecord {
  return cancelRequestedAt ? { ...record, cancelRequestedAt } : record;
}

async function answer(delivery: Delivery, settlement: Settlement): Promise<void> {
  switch (settlement.kind) {
    case 'complete':
      return delivery.complete();
    case 'abandon':
      return delivery.abandon();
    case 'dead-letter':
      return delivery.deadLetter(settlement.reason, settlement.description);
    case 'leave':
      // If the broker's lock is gone too this fails, and another worker has the job. If only the
      // record changed (a cancel), the next delivery finds it and settles at once.
      return delivery.abandon().catch(() => undefined);
  }
}
