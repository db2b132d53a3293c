/** A delivery of what is paused: parked until the pause ends. `record/pauses.ts` says why so. */
import { LockLostError } from '../errors.ts';
import { decide, noRetries } from '../fate/outcome.ts';
import { settle, writeOutcome } from '../fate/settle.ts';
import { woken } from '../fate/waiting.ts';
import type { JobRecord } from '../model/job-record.ts';
import { fromRecord, type JobMessage, toMessage } from '../model/message.ts';
import type { Delivery, Stored } from '../ports.ts';
import { bodyOf } from '../record/claim-check.ts';
import { Lease } from '../record/lease.ts';
import {
  forgetPlace,
  hasParked,
  isNoted,
  nameOf,
  notePlace,
  type Parked,
  type Pause,
  type PauseTarget,
  parkedAt,
} from '../record/pauses.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import type { Working } from './attempt.ts';

interface Parking {
  stored: Stored;
  message: JobMessage;
  delivery: Delivery;
}

/** `go`: nothing holds it; `lost`: another has the job. */
type Held = 'parked' | 'go' | 'lost';

/** Parks a delivery that its type or its lane holds. */
export async function parkIfPaused(
  worker: Working,
  { type, lane }: { type: string; lane: string },
  of: Parking,
): Promise<Held> {
  const { record } = of.stored;
  // What is to be cancelled does not begin, and waits for nobody.
  if (record.cancelRequestedAt) return 'go';
  for (const known of await worker.pauses.of(type, lane)) {
    const held = await parkIfHeld(worker, known, of);
    if (held !== 'go') return held;
  }
  return 'go';
}

async function parkIfHeld(worker: Working, known: Pause, of: Parking): Promise<Held> {
  const { record } = of.stored;
  const own = await placeOf(worker, known, of);
  if (record.released === known.id) {
    await forgetPlace(worker.notes, known, own);
    return 'go';
  }
  // Before the pause is looked at: it does not go while there is a place.
  await notePlace(worker.notes, known, own);
  const pause = await worker.pauses.find(known);
  // Another one, perhaps: it was resumed and paused again.
  if (pause && (await isHeldBy(worker, pause, own))) return parkUnlessLost(worker, of, pause, own);
  await forgetPlace(worker.notes, known, own);
  return 'go';
}

/** On its way from an earlier pause it has its place still. */
async function placeOf(
  { notes, clock }: Working,
  target: PauseTarget,
  { stored: { record }, delivery }: Parking,
): Promise<Parked> {
  const own = parkedAt(record, delivery.message, clock.now());
  const { releasedFrom } = record;
  if (releasedFrom === undefined || !(await isNoted(notes, target, releasedFrom))) return own;
  return { ...own, place: releasedFrom };
}

/** Once it is resumed, only what would pass one of its session is held. */
const isHeldBy = async ({ notes }: Working, pause: Pause, own: Parked): Promise<boolean> =>
  !pause.resuming || hasParked(notes, pause, own);

async function parkUnlessLost(
  worker: Working,
  of: Parking,
  pause: Pause,
  own: Parked,
): Promise<Held> {
  try {
    await park(worker, of, pause, own);
    return 'parked';
  } catch (error) {
    if (error instanceof LockLostError) return 'lost';
    throw error;
  }
}

/** Its record waits, and its message is answered. */
async function park(
  worker: Working,
  { stored, message, delivery }: Parking,
  pause: Pause,
  own: Parked,
): Promise<void> {
  // Crash here: a place of a job that is not parked. It comes again, and is.
  const lease = new Lease(worker, stored, worker.newOwner());
  const policy = worker.types.find(message.type)?.policy ?? noRetries;
  const by = { policy, now: worker.clock.now(), random: 0 };
  const decided = await writeOutcome(worker, lease, delivery, (newest) =>
    decide({ kind: 'paused', pause: nameOf(pause) }, newest, by),
  );
  // Crash here: the message comes again, and is answered.
  await settle(worker, decided, message, delivery);
  // This process may have stood still for so long that its place was given up.
  if (!(await worker.pauses.find(pause))) await release(worker, pause, own);
}

// As long as the broker knows a copy, and a little less.
const sendAgainMs = 50 * 60_000;

/** Sends a parked job's message. Its place stays until it is taken, for what comes behind it. */
export async function release(worker: Releasing, pause: Pause, parked: Parked): Promise<void> {
  const [record, isNew] = await retryOnConflict(() => writeReleased(worker, pause, parked));
  const now = worker.clock.now();
  const isReleased = record?.released === pause.id && record.woken === record.turn;
  if (record?.state === 'queued' && isReleased && record.input) {
    const isSent = !isNew && parked.sent && now.getTime() - Date.parse(parked.sent) < sendAgainMs;
    // Crash here: it is sent again, and the broker drops the second.
    if (!isSent) await worker.queue.send(toMessage(fromRecord(record, bodyOf(record.input))));
    if (parked.session === undefined) await forgetPlace(worker.notes, pause, parked);
    else if (!isSent) await notePlace(worker.notes, pause, { ...parked, sent: now.toISOString() });
    return;
  }
  if (!isYetToBeParked(record, pause, now.getTime() - Date.parse(parked.at)))
    await forgetPlace(worker.notes, pause, parked);
}

type Releasing = Pick<Working, 'records' | 'queue' | 'notes' | 'clock'>;

const standstillMs = 10 * 60_000;

/** Its worker noted the place and has not written the record yet, or died before it did. */
function isYetToBeParked(record: JobRecord | undefined, { id }: Pause, agedMs: number): boolean {
  if (!record) return agedMs < standstillMs;
  return record.released !== id && (record.state === 'queued' || record.state === 'scheduled');
}

async function writeReleased(
  { records }: Releasing,
  pause: Pause,
  { job, place }: Parked,
): Promise<[record: JobRecord | undefined, isNew: boolean]> {
  const stored = await records.read(job);
  const record = stored?.record;
  if (record?.state !== 'waiting' || record.waits.pause !== nameOf(pause)) return [record, false];
  const next = { ...woken(record, false), released: pause.id, releasedFrom: place };
  return [(await records.write(next, stored?.etag)).record, true];
}
