/**
 * Applies what was decided, in the one order that survives a crash between any two lines.
 *
 * The record is written first, on condition that it is still ours: from then on the outcome stands,
 * and whatever is done again follows from it (`consequences`), under message ids that the broker
 * recognises. The delivery is answered last: until then it comes back to whoever takes it next.
 */
import { isRefusal } from '../errors.ts';
import {
  type EndedRecord,
  isEnded,
  type JobRecord,
  type StoredValue,
} from '../model/job-record.ts';
import {
  blobContentType,
  type IncomingMessage,
  type JobMessage,
  type OutgoingMessage,
} from '../model/message.ts';
import { inputBlob } from '../model/names.ts';
import { laneOf } from '../model/topology.ts';
import type { Blobs, Clock, Delivery, KeyValueStore, Log, Queue } from '../ports.ts';
import { announce } from '../record/announce.ts';
import { inMessageBytes, inRecordChars, storeBody } from '../record/claim-check.ts';
import type { Lease } from '../record/lease.ts';
import { consequences, endMessages, type Queues, type Settlement } from './consequences.ts';
import { withoutStarts } from './crashes.ts';
import type { Notify } from './listeners.ts';

export interface Settling {
  queue: Queue;
  blobs: Blobs;
  log: Log;
  topology: Queues;
  notes: KeyValueStore;
  notify: Notify;
  clock: Clock;
}

/** Writes what `decide` makes of the newest record. @throws LockLostError */
export async function writeOutcome(
  { blobs, notify }: Settling,
  lease: Lease,
  { message }: Delivery,
  decide: (newest: JobRecord) => JobRecord,
): Promise<JobRecord> {
  const input = await inputOf(blobs, decide(lease.record), lease.record, message);
  // Crash here: the attempt is run again from its checkpoint.
  const { attempt } = lease.record;
  const decided = await lease.decide((newest) => {
    const next = withoutStarts(decide(newest));
    return input && (needsInput(next) || !next.unkept) ? { ...next, input } : next;
  });
  if (isEnded(decided)) notify(decided.state, decided);
  else if (decided.attempt > attempt) notify('retried', decided);
  return decided;
}

/** What the record is to keep of its input. */
async function inputOf(
  blobs: Blobs,
  next: JobRecord,
  { id, input, unkept }: JobRecord,
  message: IncomingMessage,
): Promise<StoredValue | undefined> {
  // Nothing reaches a dead letter by its id, and nobody holds the message of a job that waits. A version
  // of before, which may be the one that needs it, reads of the record no more than a column.
  const isRead = input && ('blob' in input || input.json.length <= inRecordChars);
  if (needsInput(next)) return isRead ? input : storeBody(blobs, id, message);
  if (unkept) return undefined;
  return input ?? storeBody(blobs, id, message, inMessageBytes);
}

const needsInput = ({ state, woken, undoable }: JobRecord) =>
  state === 'failed' ||
  state === 'waiting' ||
  woken !== undefined ||
  // A cancel between two attempts brings it back to a worker at once.
  (undoable && state === 'queued');

/** Does what follows from a decided record; answers how the delivery was settled. */
export async function settle(
  app: Settling,
  decided: JobRecord,
  message: JobMessage,
  delivery: Delivery,
): Promise<Settlement> {
  const follows = consequences(decided, message, app.topology);
  // Crash here: the next delivery finds the record decided and does the rest.
  await sendAll(app, follows.sends);
  if (isEnded(decided)) await announce(app.notes, decided, app.clock.now());
  if (isEnded(decided) && decided.unkept) await removeInput(app, decided, message);
  // Crash here: the same, and the broker drops the second copy of each send.
  await answer(delivery, follows.message);
  if (follows.message.kind === 'dead-letter') app.notify('dead-lettered', decided);
  return follows.message;
}

/** Its type keeps none. A failed job may still need it; what is left goes with the record. */
async function removeInput(
  { blobs }: Settling,
  { id, state }: EndedRecord,
  { contentType }: JobMessage,
): Promise<void> {
  if (state === 'failed' || contentType !== blobContentType) return;
  await blobs.remove(inputBlob(id)).catch(() => undefined);
}

/** For a job that ended without a worker. */
export async function sendEndMessages(app: Settling, ended: EndedRecord): Promise<void> {
  await sendAll(app, endMessages(ended, app.topology));
  await announce(app.notes, ended, app.clock.now());
  app.notify(ended.state, ended);
}

export async function sendAll(
  { queue, log, topology }: Pick<Settling, 'queue' | 'log' | 'topology'>,
  sends: readonly OutgoingMessage[],
): Promise<void> {
  const isOurs = (name: string) => name === topology.completions || laneOf(topology, name);
  await Promise.all(
    sends.map(async (send) => {
      try {
        await queue.send(send);
      } catch (error) {
        // A reply that can never be delivered must not hold up its job; what goes on with it must not
        // be lost.
        if (!isRefusal(error) || isOurs(send.queue)) throw error;
        const job = send.subject ?? send.messageId;
        log('warn', `job ${job}: ${error.message} The message is dropped.`, { job });
      }
    }),
  );
}

export async function answer(delivery: Delivery, settlement: Settlement): Promise<void> {
  switch (settlement.kind) {
    case 'complete':
      return delivery.complete();
    case 'dead-letter':
      return delivery.deadLetter(settlement.reason, settlement.description);
    case 'again':
      return;
  }
}
