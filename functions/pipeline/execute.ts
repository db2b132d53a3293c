/**
 * One delivery of a job, from the message to its settlement, as a list of steps.
 *
 * Read `outcome.ts` for what follows from what happened, `settle.ts` for the order of the writes.
 */
import { hasEnded } from '../model/job-record.ts';
import { fromMessage, type JobMessage } from '../model/message.ts';
import { attempt, type Working } from './attempt.ts';
import { Lease } from './lease.ts';
import { consequences, decide, type Happened, noRetries } from './outcome.ts';
import type { Delivery, Stored } from './ports.ts';
import { isStartedAgain, startedAgain } from './retry.ts';
import { settle } from './settle.ts';
import { readOrMake } from './submit.ts';

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
  const found = await readOrMake(worker, message);
  const stored = isStartedAgain(found.record, message)
    ? { ...found, record: startedAgain(found.record) }
    : found;
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
  const startedAt = worker.clock.now().toISOString();
  const happened = await attempt(worker, lease, message, known, startedAt);
  const transition = decide(
    happened,
    handlerRan(happened)
      ? { ...lease.record, startedAt: lease.record.startedAt ?? startedAt }
      : lease.record,
    message,
    known?.policy ?? noRetries,
    worker.clock.now(),
    worker.random(),
    worker.topology.completions,
  );
  tell(worker, lease, happened);
  await settle(worker, transition, delivery, lease);
}

const handlerRan = ({ kind }: Happened) => ['returned', 'threw', 'timed-out'].includes(kind);

/** An earlier delivery decided this attempt and died before it settled. */
const wasDecided = ({ record }: Stored, { attempt }: JobMessage) =>
  hasEnded(record.state) || record.attempt > attempt;

/** One line for an attempt that did not simply succeed. */
function tell({ log }: Working, { record }: Lease, happened: Happened): void {
  if (happened.kind === 'returned') return;
  const why = 'error' in happened ? `: ${happened.error.name}: ${happened.error.message}` : '';
  const text = `job ${record.id} (${record.type}) attempt ${record.attempt} ${happened.kind}${why}`;
  log('error' in happened ? 'warn' : 'info', text);
}
