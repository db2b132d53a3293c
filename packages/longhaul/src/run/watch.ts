/** While a handler runs: its timeout, the shutdown, and from two seconds on `running` and cancels. */
import { AttemptTimeoutError, JobCancelledError, LockLostError, StoppingError } from '../errors.ts';
import { type Duration, toMs } from '../model/duration.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Lease } from '../record/lease.ts';
import { isOrphan } from '../wait/children.ts';
import type { Working } from './attempt.ts';

// A job that ends sooner writes no `running` state of its own.
const showRunningAfterMs = 2_000;
// A cancel is to be seen within five seconds.
const lookForCancelEveryMs = 2_000;
// Renewals of locks, timers and the other jobs of the process stand still as long.
const blockedMs = 5_000;

/** Aborts the attempt when there is a reason to; answers what ends the watch. */
export function watch(
  worker: Working,
  lease: Lease,
  abort: AbortController,
  timeout: Duration,
): () => void {
  const { clock, stopping } = worker;
  const timedOut = () => abort.abort(new AttemptTimeoutError(timeout));
  const cancelTimeout = clock.after(toMs(timeout), timedOut);
  const onStopping = () => abort.abort(new StoppingError());
  stopping.addEventListener('abort', onStopping, { once: true });
  let cancelLook: () => void = () => undefined;
  const look = async (read: () => Promise<JobRecord>) => {
    try {
      const { cancelRequestedAt, ending } = await read();
      if (cancelRequestedAt && !ending) abort.abort(new JobCancelledError(lease.record.id));
    } catch (error) {
      // Out of reach for a moment is no reason to stop; a lost claim is.
      if (error instanceof LockLostError) abort.abort(error);
    }
    if (!abort.signal.aborted) lookIn(lookForCancelEveryMs, () => lease.refresh());
  };
  let due = 0;
  const tellLate = () => tellBlocked(worker, lease, clock.now().getTime() - due);
  const lookIn = (ms: number, read: () => Promise<JobRecord>) => {
    due = clock.now().getTime() + ms;
    cancelLook = clock.after(ms, () => {
      tellLate();
      void look(read);
    });
  };
  const { isNew } = lease;
  lookIn(showRunningAfterMs, async () => {
    const shown = await lease.writeRunning((record) => record);
    // The word of its parent's end may have come when it had no record yet.
    if (isNew && (await isOrphan(worker, shown))) abort.abort(new JobCancelledError(shown.id));
    return shown;
  });
  return () => {
    tellLate();
    cancelTimeout();
    cancelLook();
    stopping.removeEventListener('abort', onStopping);
  };
}

function tellBlocked({ log }: Working, { record: { id, type } }: Lease, lateMs: number): void {
  if (lateMs < blockedMs) return;
  log(
    'warn',
    `job ${id} (${type}) or one beside it held the process for ${Math.round(lateMs / 1000)} s, in which no timer ran and no lock was renewed: do work that computes for long in a worker thread.`,
    { job: id, type },
  );
}
