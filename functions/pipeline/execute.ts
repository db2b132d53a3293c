/**
 * One delivery of a job, from the message to its settlement, as a list of steps.
 *
 * Read `outcome.ts` for what follows from what happened, `settle.ts` for the order of the writes.
 */
import { LockLostError } from '../errors.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { fromMessage, type JobMessage } from '../model/message.ts';
import { attempt, type Working } from './attempt.ts';
import { Lease } from './lease.ts';
import { decide, type Happened, noRetries } from './outcome.ts';
import type { Delivery, Stored } from './ports.ts';
import { isStartedAgain, startedAgain } from './retry.ts';
import { answer, record, settle } from './settle.ts';
import { readOrMake } from './submit.ts';

// Ten deliveries that each wait this long outlast an outage of minutes.
const holdMs = 15_000;

/** Never throws. */
export async function execute(worker: Working, delivery: Delivery): Promise<void> {
  const { messageId, queue } = delivery.message;
  await hold(worker, `${queue} ${messageId}`, () => deliver(worker, delivery)).catch(() =>
    delivery.abandon().catch(() => undefined),
  );
}

/**
 * When storage or the bus is out of reach, what was delivered is held for a while before it is handed
 * back: handed back at once, an outage of seconds would use up all its deliveries.
 */
export async function hold(worker: Working, what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    worker.log('error', `${what}: handed back: ${(error as Error).message}`);
    await pause(worker, holdMs);
    throw error;
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
  for (;;) {
    const found = await readOrMake(worker, message);
    const stored = isStartedAgain(found.record, message)
      ? { ...found, record: startedAgain(found.record) }
      : found;
    const decided = wasDecided(stored.record, message)
      ? stored.record
      : await work(worker, stored, message, delivery);
    if (!decided) return;
    const { kind } = await settle(worker, decided, message, delivery);
    if (kind !== 'again') return;
  }
}

/** An earlier delivery decided this turn and died before it settled. */
const wasDecided = ({ state, turn }: JobRecord, message: JobMessage) =>
  hasEnded(state) || state === 'waiting' || turn > message.turn;

/** The record as it was decided; undefined if the delivery was handed back instead. */
async function work(
  worker: Working,
  stored: Stored,
  message: JobMessage,
  delivery: Delivery,
): Promise<JobRecord | undefined> {
  const known = worker.types.find(message.type);
  if (known?.policy.ordered && !(await untilDue(worker, stored.record))) {
    await answer(delivery, { kind: 'abandon' });
    return undefined;
  }
  const lease = new Lease(worker.records, stored, worker.newOwner());
  const startedAt = worker.clock.now().toISOString();
  const happened = await attempt(worker, lease, message, delivery, known, startedAt);
  tell(worker, lease, happened);
  if (happened.kind === 'stopping' || happened.kind === 'lock-lost') {
    await answer(delivery, { kind: happened.kind === 'stopping' ? 'abandon' : 'leave' });
    return undefined;
  }
  const [now, random] = [worker.clock.now(), worker.random()];
  const started = handlerRan(happened) ? { startedAt } : {};
  try {
    return await record(worker, lease, delivery, (newest) =>
      decide(happened, { ...started, ...newest }, known?.policy ?? noRetries, now, random),
    );
  } catch (error) {
    if (!(error instanceof LockLostError)) throw error;
    await answer(delivery, { kind: 'leave' });
    return undefined;
  }
}

// The invocation ends sooner than a long wait: the message comes back, first of its session.
const holdAtMostMs = 10 * 60_000;

/** Holds an ordered job until its next attempt is due; false when it is to be handed back instead. */
async function untilDue(worker: Working, { runAt }: JobRecord): Promise<boolean> {
  const ms = runAt ? new Date(runAt).getTime() - worker.clock.now().getTime() : 0;
  if (ms > 0) await pause(worker, Math.min(ms, holdAtMostMs));
  return ms <= holdAtMostMs && !worker.stopping.aborted;
}

const handlerRan = ({ kind }: Happened) =>
  ['returned', 'threw', 'timed-out', 'waits'].includes(kind);

/** One line for an attempt that did not simply succeed. */
function tell({ log }: Working, { record }: Lease, happened: Happened): void {
  if (happened.kind === 'returned' || happened.kind === 'waits') return;
  const why = 'error' in happened ? `: ${happened.error.name}: ${happened.error.message}` : '';
  const text = `job ${record.id} (${record.type}) attempt ${record.attempt} ${happened.kind}${why}`;
  log('error' in happened ? 'warn' : 'info', text);
}
