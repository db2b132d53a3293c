/**
 * One delivery of a job, from the message to its settlement, as a list of steps.
 *
 * Read `outcome.ts` for what follows from what happened, `settle.ts` for the order of the writes.
 */

import { isStartedAgain, startedAgain } from '../admit/retry.ts';
import { readMessage } from '../admit/sender.ts';
import { fromMessageAlone, readOrMake, withoutMark } from '../admit/submit.ts';
import { takeIn } from '../admit/take-in.ts';
import type { KnownType } from '../define/catalogue.ts';
import { BadMessageError, ConflictError, LockLostError } from '../errors.ts';
import { endMessages, isAlreadyDecided, isCopy } from '../fate/consequences.ts';
import { companyOf, takeBackStart } from '../fate/crashes.ts';
import { type AttemptOutcome, decide, noRetries } from '../fate/outcome.ts';
import { answer, sendAll, settle, writeOutcome } from '../fate/settle.ts';
import { Lines } from '../handler/job-log.ts';
import { takeBackState } from '../handler/session-state.ts';
import { toMs } from '../model/duration.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { JobMessage } from '../model/message.ts';
import { laneOf } from '../model/topology.ts';
import type { Delivery, Stored } from '../ports.ts';
import { Lease } from '../record/lease.ts';
import { type Attempt, attempt, type Working } from './attempt.ts';
import type { Place } from './concurrency-limiter.ts';
import { handBack, hold, pauseOrStop } from './hand-back.ts';
import { parkIfPaused } from './park.ts';

/** Never throws. */
export async function execute(worker: Working, delivery: Delivery): Promise<void> {
  const { messageId, queue } = delivery.message;
  await hold(worker, `${queue} ${messageId}`, () => deliver(worker, delivery)).catch(() =>
    handBack(worker, delivery),
  );
  await worker.turns.next(delivery);
}

// host.json: an invocation has 135 minutes, and its lock is renewed for 130. What waits for longer is
// handed back, first of its session.
const invocationMs = 125 * 60_000;
const lookEveryMs = 5_000;

async function deliver(worker: Working, delivery: Delivery): Promise<void> {
  const message = readMessage(delivery.message, worker.topology);
  const lane = laneOf(worker.topology, message.queue)?.name ?? '';
  const { timeout = '5m' } = worker.types.find(message.type)?.policy ?? {};
  const until = worker.clock.now().getTime() + invocationMs - toMs(timeout);
  for (;;) {
    const company = await companyOf(worker, message.id, delivery.message);
    const place = await worker.limiter.enter(lane, worker.stopping, company);
    if (!place) return handBack(worker, delivery);
    const next = await tryDeliver(worker, message, delivery, place).finally(place.leave);
    if (next.kind === 'answered') return;
    if (next.kind === 'hand back') return handBack(worker, delivery);
    const leftMs = Math.max(0, until - worker.clock.now().getTime());
    await untilDue(worker, message.id, Math.min(next.inMs, leftMs));
    if (next.inMs >= leftMs) return handBack(worker, delivery);
  }
}

/** What becomes of a delivery. */
type Next = { kind: 'answered' } | { kind: 'hand back' } | { kind: 'again'; inMs: number };

const answered = { kind: 'answered' } as const;

const nextOf = {
  parked: answered,
  lost: { kind: 'hand back' },
} as const satisfies Record<string, Next>;

/** An ordered job holds its key while it waits for its next attempt; cancelled, it lets it go. */
async function untilDue(worker: Working, id: string, ms: number): Promise<void> {
  for (let left = ms; left > 0 && !worker.stopping.aborted; left -= lookEveryMs) {
    await pauseOrStop(worker, Math.min(left, lookEveryMs));
    const stored = await worker.records.read(id).catch(() => undefined);
    if (stored && isToBeCancelled(stored.record)) return;
  }
}

/** One that is undone already waits for its next try all the same. */
const isToBeCancelled = ({ cancelRequestedAt, ending }: JobRecord): boolean =>
  cancelRequestedAt !== undefined && !ending;

async function tryDeliver(
  worker: Working,
  message: JobMessage,
  delivery: Delivery,
  { isAlone }: Place,
): Promise<Next> {
  // What somebody sent stays what it is when the app sends it on.
  const known = message.foreign
    ? worker.types.findOpen(message.type)
    : worker.types.find(message.type);
  const found = await findJob(worker, message, delivery, known);
  if (!found) return answered;
  const { stored, outcome } = found;
  if (isAlreadyDecided(stored.record, message)) {
    await settle(worker, stored.record, message, delivery);
    return answered;
  }
  if (isCopy(stored.record, message, delivery.message)) {
    await answer(delivery, { kind: 'complete' });
    return answered;
  }
  const paused = { type: known?.definition.type ?? message.type, lane: stored.record.lane };
  const held = await parkIfPaused(worker, paused, { stored, message, delivery });
  if (held !== 'go') return nextOf[held];
  const early = known?.policy.ordered ? msUntilDue(worker, stored.record) : 0;
  if (early > 0 && !isToBeCancelled(stored.record)) return { kind: 'again', inMs: early };
  const lines = new Lines(worker, stored.record);
  try {
    const of = { stored, message, delivery, known, isAlone, lines };
    const decided = await runAttempt(worker, of, outcome);
    if (!decided) return { kind: 'hand back' };
    const { kind } = await settle(worker, decided, message, delivery);
    return kind === 'again' ? { kind, inMs: msUntilDue(worker, decided) } : answered;
  } finally {
    await lines.close();
  }
}

/** A job ended and was removed before whoever ended it told so: what its message knows is told still. */
async function tellRemoved(worker: Working, message: JobMessage): Promise<void> {
  const { state, at } = (await worker.removal.removed(message.id)) ?? {};
  if (!state || at === undefined) return;
  const ended = { ...fromMessageAlone(worker, message), state, finishedAt: at, keepUntil: at };
  await sendAll(worker, endMessages(ended, worker.topology));
}

function badMessage(error: unknown): BadMessageError {
  if (error instanceof BadMessageError) return error;
  throw error;
}

/** Nothing is made of it, and the job that it names is as it was. */
async function refuse(
  { log }: Working,
  { queue }: JobMessage,
  delivery: Delivery,
  { code, message }: BadMessageError,
): Promise<void> {
  log('warn', `a message in ${queue} is refused: ${message}`);
  await answer(delivery, { kind: 'dead-letter', reason: code, description: message });
}

interface Found {
  stored: Stored;
  /** Known before it is run. */
  outcome?: AttemptOutcome;
}

/** The job of a message; undefined when the delivery is answered with that. */
async function findJob(
  worker: Working,
  message: JobMessage,
  delivery: Delivery,
  known: KnownType | undefined,
): Promise<Found | undefined> {
  const stored = await readOrMake(worker, message).catch((error: unknown) => badMessage(error));
  if (stored instanceof BadMessageError) {
    await refuse(worker, message, delivery, stored);
    return undefined;
  }
  if (!stored) {
    // Another's job may have had that id.
    if (!message.isForeign) await tellRemoved(worker, message);
    await answer(delivery, { kind: 'complete' });
    return undefined;
  }
  const { record, etag } = stored;
  if (isStartedAgain(record, message)) return { stored: { etag, record: startedAgain(record) } };
  if (!record.untaken) return { stored };
  const unmarked = withoutMark(record);
  if (!known) return { stored: { etag, record: unmarked } };
  // On record before it claims anything: from then on no other stranger's message is of this job.
  const written = await recordFirst(worker, stored);
  if (!written) return findJob(worker, message, delivery, known);
  const own = { record: unmarked, etag: written.etag };
  const taken = await takeIn(worker, message, unmarked, known);
  if (taken.kind === 'run') return { stored: { ...own, record: taken.record } };
  if (taken.kind === 'end') return { stored: own, outcome: taken.outcome };
  await worker.queue.send(taken.message);
  // Crash here: it is sent again, and the broker drops the second.
  await answer(delivery, { kind: 'complete' });
  return undefined;
}

/** Undefined when another was first. */
async function recordFirst({ records }: Working, stored: Stored): Promise<Stored | undefined> {
  if (stored.etag !== undefined) return stored;
  try {
    return await records.write(stored.record, undefined);
  } catch (error) {
    if (error instanceof ConflictError) return undefined;
    throw error;
  }
}

const msUntilDue = ({ clock }: Working, { runAt }: JobRecord): number =>
  runAt ? Math.max(0, new Date(runAt).getTime() - clock.now().getTime()) : 0;

/** The record as it was decided; undefined if the delivery is to be handed back. */
async function runAttempt(
  worker: Working,
  { stored, ...of }: { stored: Stored } & Omit<Attempt, 'lease' | 'startedAt'>,
  known?: AttemptOutcome,
): Promise<JobRecord | undefined> {
  const startedAt = worker.clock.now().toISOString();
  const { sequence } = of.delivery.message;
  const { here } = worker;
  const lease = new Lease(worker, stored, worker.newOwner(), { startedAt, sequence, here });
  let isDecided = false;
  const over = worker.heartbeat.begin(stored.record.id, stored.record.type);
  try {
    const outcome = known ?? (await attempt(worker, { ...of, lease, startedAt }));
    logOutcome(worker, lease, outcome);
    if (outcome.kind === 'lock-lost') of.lines.drop();
    if (outcome.kind === 'stopping' || outcome.kind === 'lock-lost') return undefined;
    if (outcome.kind !== 'returned') await takeBackState(of.delivery, lease.record);
    const [now, random] = [worker.clock.now(), worker.random()];
    const isRun = handlerRan(outcome);
    const started = isRun ? { startedAt, version: here.version } : {};
    const by = isRun ? { ranBy: here } : {};
    const policy = of.known?.policy ?? noRetries;
    const decided = await writeOutcome(worker, lease, of.delivery, (newest) =>
      decide(outcome, { ...started, ...newest, ...by }, { policy, now, random }),
    );
    isDecided = true;
    return decided;
  } catch (error) {
    if (!(error instanceof LockLostError)) throw error;
    return undefined;
  } finally {
    over();
    lease.close();
    if (!isDecided) await takeBackStart(worker, lease);
  }
}

const handlerRan = ({ kind }: AttemptOutcome) =>
  ['returned', 'threw', 'timed-out', 'waits'].includes(kind);

/** One line for an attempt that did not simply succeed, and the stack of what it threw. */
function logOutcome({ log }: Working, { record }: Lease, outcome: AttemptOutcome): void {
  if (outcome.kind === 'returned' || outcome.kind === 'waits') return;
  const { id, type, attempt } = record;
  const error = 'error' in outcome ? outcome.error : undefined;
  const why = error ? `: ${error.name}: ${error.message}` : '';
  const text = `job ${id} (${type}) attempt ${attempt} ${outcome.kind}${why}`;
  const fields = { job: id, type, attempt };
  log(error ? 'warn' : 'info', text.slice(0, 4_000), error ? { ...fields, error } : fields);
}
