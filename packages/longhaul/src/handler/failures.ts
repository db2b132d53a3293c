/**
 * Failures that a handler caught. A run that follows in the same attempt has to take the same way, so
 * it meets them again; another attempt tries again what failed. The undo, which goes back over what was
 * done, meets them all.
 */
import { LockLostError, NonRetryableError } from '../errors.ts';
import { fromErrorRecord, toErrorRecord } from '../model/error-record.ts';
import type { Entry, EntryKind } from './checkpoint.ts';
import type { Run } from './run.ts';

/** Throws the failure that a run before this one met under this name, when it is its turn. */
export function failureOf(
  { checkpoint, suspension, lease, undo }: Run,
  name: string,
  entry: Entry | undefined,
): (() => Promise<never>) | undefined {
  const { failed, value } = entry ?? {};
  const failure = checkpoint.nextFailure(name);
  if (!failed || !failure) return undefined;
  // What succeeded in the end had failed before.
  if (!undo && !value && failed.attempt !== lease.record.attempt) return undefined;
  const { error, order, final } = failure;
  return () =>
    suspension.replay(order, async () => {
      checkpoint.failAgain(name);
      throw fromErrorRecord(error, final === true);
    });
}

/** Does it; what it throws is kept with the next write. */
export async function orFail<T>(
  run: Run,
  kind: EntryKind,
  name: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { checkpoint, lease, signal } = run;
    // What failed because the attempt is at its end, or storage is, says nothing of the step.
    const isOfTheRun = signal.aborted || lease.failure !== undefined;
    if (isOfTheRun || error instanceof LockLostError) throw error;
    await checkpoint.fail(kind, name, {
      error: toErrorRecord(error),
      ...(error instanceof NonRetryableError ? { final: true as const } : {}),
    });
    throw error;
  }
}
