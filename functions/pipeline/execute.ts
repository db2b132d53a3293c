/**
 * One delivery of a job, from the message to its settlement, as a list of steps.
 *
 * Read `outcome.ts` for what follows from what happened, `settle.ts` for the order of the writes.
 */
import { LockLostError } from '../errors.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { fromMessage, type JobMessage } from '../model/message.ts';
import { laneOf } from '../model/topology.ts';
import { attempt, type Working } from './attempt.ts';
import type { KnownType } from './catalogue.ts';
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
  await worker.turns.next(delivery);
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

// The invocation ends sooner than a long wait: the message comes back, first of its session.
const holdAtMostMs = 10 * 60_000;

async function deliver(worker: Working, delivery: Delivery): Promise<void> {
  const message = fromMessage(delivery.message);
  const lane = laneOf(worker.topology, message.queue)?.name ?? '';
  for (;;) {
    const leave = await worker.gate.enter(lane, worker.stopping);
    if (!leave) return answer(delivery, { kind: 'abandon' });
    const dueInMs = await once(worker, message, delivery).finally(leave);
    if (dueInMs === undefined) return;
    await pause(worker, Math.min(dueInMs, holdAtMostMs));
    if (dueInMs > holdAtMostMs) return answer(delivery, { kind: 'abandon' });
  }
}

/** Milliseconds until the same delivery is to try again; undefined once it is answered. */
async function once(
  worker: Working,
  message: JobMessage,
  delivery: Delivery,
): Promise<number | undefined> {
  const found = await readOrMake(worker, message);
  const stored = isStartedAgain(found.record, message)
    ? { ...found, record: startedAgain(found.record) }
    : found;
  if (wasDecided(stored.record, message)) {
    await settle(worker, stored.record, message, delivery);
    return undefined;
  }
  const known = worker.types.find(message.type);
  const early = known?.policy.ordered ? msUntilDue(worker, stored.record) : 0;
  if (early > 0) return early;
  const decided = await work(worker, stored, message, delivery, known);
  if (!decided) return undefined;
  const { kind } = await settle(worker, decided, message, delivery);
  return kind === 'again' ? msUntilDue(worker, decided) : undefined;
}

const msUntilDue = ({ clock }: Working, { runAt }: JobRecord): number =>
  runAt ? Math.max(0, new Date(runAt).getTime() - clock.now().getTime()) : 0;

/** An earlier delivery decided this turn and died before it settled. */
const wasDecided = ({ state, turn }: JobRecord, message: JobMessage) =>
  hasEnded(state) || state === 'waiting' || turn > message.turn;

/** The record as it was decided; undefined if the delivery was handed back instead. */
async function work(
  worker: Working,
  stored: Stored,
  message: JobMessage,
  delivery: Delivery,
  known: KnownType | undefined,
): Promise<JobRecord | undefined> {
  const startedAt = worker.clock.now().toISOString();
  const lease = new Lease(worker.records, stored, worker.newOwner(), startedAt);
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

const handlerRan = ({ kind }: Happened) =>
  ['returned', 'threw', 'timed-out', 'waits'].includes(kind);

/** One line for an attempt that did not simply succeed. */
function tell({ log }: Working, { record }: Lease, happened: Happened): void {
  if (happened.kind === 'returned' || happened.kind === 'waits') return;
  const why = 'error' in happened ? `: ${happened.error.name}: ${happened.error.message}` : '';
  const text = `job ${record.id} (${record.type}) attempt ${record.attempt} ${happened.kind}${why}`;
  log('error' in happened ? 'warn' : 'info', text);
}
