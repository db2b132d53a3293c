/**
 * Failures that a handler caught. A run that follows in the same attempt has to take the same way, so
 * it meets them again; another attempt tries again what failed. So does not the undo, which goes back
 * over what was done.
 */
import { NonRetryableError } from '../errors.ts';
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
  if (!failed || !checkpoint.isToFailAgain(name)) return undefined;
  const { attempt, error, order, final } = failed;
  // What succeeded in the end had failed before.
  if (!undo && !value && attempt !== lease.record.attempt) return undefined;
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
    if (signal.aborted || lease.failure !== undefined) throw error;
    checkpoint.fail(kind, name, {
      error: toErrorRecord(error),
      attempt: lease.record.attempt,
      ...(error instanceof NonRetryableError ? { final: true as const } : {}),
    });
    // What ended before it is told before it, now as in every run to come.
    await checkpoint.written();
    throw error;
  }
}
