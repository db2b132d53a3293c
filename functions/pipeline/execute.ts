/**
 * One delivery of a job, from the message to its settlement, as a list of steps.
 *
 * Read `outcome.ts` for what follows from what happened, `settle.ts` for the order of the writes.
 */
import {
  AttemptTimeoutError,
  JobCancelledError,
  LockLostError,
  StoppingError,
  UnknownJobTypeError,
} from '../errors.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded } from '../model/job-record.ts';
import { fromMessage, type JobMessage } from '../model/message.ts';
import type { KnownType } from './catalogue.ts';
import { Checkpoint } from './checkpoint.ts';
import { fromBody, keep } from './claim-check.ts';
import { createJob } from './job.ts';
import { Lease } from './lease.ts';
import { consequences, decide, type Happened, invalid } from './outcome.ts';
import type { Delivery, Log, Stored } from './ports.ts';
import { settle } from './settle.ts';
import { newRecord, type Submitting } from './submit.ts';
import { validate } from './validate.ts';

export interface Working extends Submitting {
  log: Log;
  newOwner(): string;
  random(): number;
  /** Aborted when the process is to end; what has not ended `graceMs` later is handed back. */
  stopping: AbortSignal;
  graceMs: number;
}

// A job that ends sooner writes no `running` state of its own.
const showRunningAfterMs = 2_000;
// A cancel is to be seen within five seconds.
const lookForCancelEveryMs = 2_000;
// How long a handler that was told to stop may take to do so.
const abortGraceMs = 2_000;
// Ten deliveries that each wait this long outlast an outage of minutes.
const holdMs = 15_000;

/**
 * Never throws. When storage or the bus is out of reach, the message is held for a while before it
 * is handed back: handed back at once, an outage of seconds would use up all its deliveries.
 */
export async function execute(worker: Working, delivery: Delivery): Promise<void> {
  try {
    await deliver(worker, delivery);
  } catch (error) {
    const { messageId, queue } = delivery.message;
    worker.log('error', `${queue} ${messageId}: handed back: ${(error as Error).message}`);
    await pause(worker, holdMs);
    await delivery.abandon().catch(() => undefined);
  }
}

/** Waits, or less when the process is to end. */
function pause({ clock, stopping }: Working, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (stopping.aborted) return resolve();
    const done = () => {
      cancel();
      stopping.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    stopping.addEventListener('abort', done);
  });
}

async function deliver(worker: Working, delivery: Delivery): Promise<void> {
  const message = fromMessage(delivery.message);
  const known = worker.types.find(message.type);
  const stored = await find(worker, message, known);
  if (wasDecided(stored, message)) {
    const { sends, message: settlement } = consequences(
      stored.record,
      message,
      worker.topology.completions,
    );
    await settle(worker, { record: 'untouched', sends, message: settlement }, delivery);
    return;
  }
  const lease = new Lease(worker.records, stored, worker.newOwner());
  const startedAt = now(worker);
  const happened = await attempt(worker, lease, message, known);
  const transition = decide(
    happened,
    handlerRan(happened)
      ? { ...lease.record, startedAt: lease.record.startedAt ?? startedAt }
      : lease.record,
    message,
    known?.policy ?? { attempts: 1, backoff: { initial: '5s' } },
    worker.clock.now(),
    worker.random(),
    worker.topology.completions,
  );
  tell(worker, lease, happened);
  await settle(worker, transition, delivery, lease);
}

const handlerRan = ({ kind }: Happened) => ['returned', 'threw', 'timed-out'].includes(kind);

/** The record, or the one that follows from the message when there is none yet. */
async function find(
  { records, topology, clock }: Working,
  message: JobMessage,
  known: KnownType | undefined,
): Promise<Stored> {
  const stored = await records.read(message.id);
  if (stored) return stored;
  const lane = topology.lanes.find(({ plain, keyed }) => [plain, keyed].includes(message.queue));
  const createdAt = message.createdAt ?? clock.now().toISOString();
  const type = known?.definition.type ?? message.type;
  return { record: newRecord({ ...message, type, createdAt }, lane?.name ?? ''), etag: undefined };
}

/** An earlier delivery decided this attempt and died before it settled. */
const wasDecided = ({ record }: Stored, { attempt }: JobMessage) =>
  hasEnded(record.state) || record.attempt > attempt;

async function attempt(
  worker: Working,
  lease: Lease,
  message: JobMessage,
  known: KnownType | undefined,
): Promise<Happened> {
  const { record } = lease;
  if (worker.stopping.aborted) return { kind: 'stopping' };
  if (record.cancelRequestedAt) return { kind: 'cancelled' };
  const unstarted = record.attempt === 1 && record.state !== 'running';
  if (record.startBefore && unstarted && new Date(record.startBefore) <= worker.clock.now())
    return { kind: 'expired' };
  if (!known)
    return {
      kind: 'unknown-type',
      error: new UnknownJobTypeError(message.type, worker.types.names),
    };
  try {
    // Somebody else's run is on record: take it over before anything else, so that they notice.
    if (record.state === 'running') await lease.write((r) => ({ ...r, startedAt: now(worker) }));
    return await run(worker, lease, message, known);
  } catch (error) {
    if (error instanceof LockLostError) return { kind: 'lock-lost' };
    // Not the handler's doing: the store or the blobs are out of reach.
    throw error;
  }
}

const now = ({ clock }: Working) => clock.now().toISOString();

async function run(
  worker: Working,
  lease: Lease,
  message: JobMessage,
  { definition, policy }: KnownType,
): Promise<Happened> {
  let input: unknown;
  try {
    const raw = await fromBody(worker.blobs, message);
    input = await validate(definition.input, raw, 'The input');
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== undefined) throw error;
    return invalid(error);
  }
  const startedAt = now(worker);
  const abort = new AbortController();
  const checkpoint = await Checkpoint.load(lease, worker.blobs);
  const { job, flush } = createJob({ lease, checkpoint, signal: abort.signal }, worker);
  const stopWatching = watch(worker, lease, abort, startedAt, policy.timeout);
  try {
    const returned = definition.run(input as never, job).then(async (value) => {
      const result = definition.output
        ? await validate(definition.output, value, 'The result')
        : value;
      await flush();
      return result;
    });
    const result = await raceWithAbort(worker, returned, abort.signal);
    if (abort.signal.aborted && abort.signal.reason instanceof LockLostError)
      return { kind: 'lock-lost' };
    const blob = `jobs/${lease.record.id}/result-${lease.owner}.json`;
    return { kind: 'returned', result: await keep(worker.blobs, blob, result) };
  } catch (error) {
    return whyItEnded(abort.signal, error);
  } finally {
    stopWatching();
  }
}

/** Ends with the handler, or a little after the abort if the handler does not heed it. */
function raceWithAbort<T>(worker: Working, returned: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    let cancel: () => void = () => undefined;
    const giveUp = () => {
      const grace = signal.reason instanceof StoppingError ? worker.graceMs : abortGraceMs;
      cancel = worker.clock.after(grace, () => reject(signal.reason));
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp);
    const settled = () => {
      cancel();
      signal.removeEventListener('abort', giveUp);
    };
    returned.finally(settled).then(resolve, reject);
  });
}

/** The reason of the abort outranks what the handler made of it. */
function whyItEnded(signal: AbortSignal, thrown: unknown): Happened {
  if (thrown instanceof LockLostError) return { kind: 'lock-lost' };
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (reason instanceof LockLostError) return { kind: 'lock-lost' };
  if (reason instanceof StoppingError) return { kind: 'stopping' };
  if (reason instanceof JobCancelledError) return { kind: 'cancelled' };
  if (reason instanceof AttemptTimeoutError) return { kind: 'timed-out', error: reason };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { kind: 'threw', error };
}

/** While a handler runs: its timeout, the shutdown, and from two seconds on `running` and cancels. */
function watch(
  worker: Working,
  lease: Lease,
  abort: AbortController,
  startedAt: string,
  timeout: Parameters<typeof toMs>[0],
): () => void {
  const { clock, stopping } = worker;
  const cancels = [clock.after(toMs(timeout), () => abort.abort(new AttemptTimeoutError(timeout)))];
  const onStopping = () => abort.abort(new StoppingError());
  stopping.addEventListener('abort', onStopping, { once: true });
  let cancelLook: () => void = () => undefined;
  const look = async (read: () => Promise<{ cancelRequestedAt?: string }>) => {
    try {
      const { cancelRequestedAt } = await read();
      if (cancelRequestedAt) abort.abort(new JobCancelledError(lease.record.id));
    } catch (error) {
      // Out of reach for a moment is no reason to stop; a lost claim is.
      if (error instanceof LockLostError) abort.abort(error);
    }
    if (!abort.signal.aborted)
      cancelLook = clock.after(lookForCancelEveryMs, () => void look(() => lease.refresh()));
  };
  cancelLook = clock.after(showRunningAfterMs, () => {
    const show = () => lease.write((record) => ({ ...record, state: 'running', startedAt }));
    void look(show);
  });
  return () => {
    for (const cancel of [...cancels, cancelLook]) cancel();
    // Nothing may be written after the attempt is decided.
    if (!abort.signal.aborted) abort.abort(new LockLostError(lease.record.id));
    stopping.removeEventListener('abort', onStopping);
  };
}

/** One line for an attempt that did not simply succeed. */
function tell({ log }: Working, { record }: Lease, happened: Happened): void {
  if (happened.kind === 'returned') return;
  const why = 'error' in happened ? `: ${happened.error.name}: ${happened.error.message}` : '';
  const text = `job ${record.id} (${record.type}) attempt ${record.attempt} ${happened.kind}${why}`;
  log('error' in happened ? 'warn' : 'info', text);
}
