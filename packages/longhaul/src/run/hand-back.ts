/**
 * How a message goes back to the broker that was not run to its end. Never at once: what made it go back
 * is still there in the same moment, and each hand-over counts.
 */
import type { Clock, Delivery, KeyValueStore, Log } from '../ports.ts';

interface Holding {
  clock: Clock;
  notes: KeyValueStore;
  log: Log;
  stopping: AbortSignal;
}

const firstMs = 1_000;
const mostMs = 60_000;

/** Later each time; at a shutdown at once, as another process has it then. */
export async function handBack(
  worker: Pick<Holding, 'clock' | 'stopping'>,
  { message: { deliveries = 1 }, abandon }: Delivery,
): Promise<void> {
  await pauseOrStop(worker, Math.min(firstMs * 2 ** (deliveries - 1), mostMs));
  // If the lock is gone, so is the message: another worker has it.
  await abandon().catch(() => undefined);
}

// What fails for a moment as a rule is there in the next: so long others wait behind it.
const firstLookMs = 1_000;
const lookEveryMs = 15_000;
// The host renews its lock meanwhile.
const holdAtMostMs = 10 * 60_000;

/** What was delivered while storage or the bus is out of reach is held until storage answers. */
export async function hold(worker: Holding, what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    worker.log('error', `${what}: handed back: ${(error as Error).message}`, { error });
    let waitMs = firstLookMs;
    for (let heldMs = 0; heldMs < holdAtMostMs && !worker.stopping.aborted; heldMs += waitMs) {
      if (heldMs > 0) waitMs = lookEveryMs;
      await pauseOrStop(worker, waitMs);
      if (await isStorageThere(worker)) break;
    }
    throw error;
  }
}

const isStorageThere = ({ notes }: Holding): Promise<boolean> =>
  notes.read('probe', 'storage').then(
    () => true,
    () => false,
  );

/** Waits, or less when the process is to end. */
export function pauseOrStop(
  { clock, stopping }: Pick<Holding, 'clock' | 'stopping'>,
  ms: number,
): Promise<void> {
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
