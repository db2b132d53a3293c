/** Many requests at once, each accepted or refused by itself. */
import type { JobRequest } from '../define-job.ts';
import { LonghaulError } from '../errors.ts';
import { submitOnce } from './idempotency.ts';
import { inParts } from './in-parts.ts';
import type { Submitted, Submitting } from './submit.ts';

export type OneOfMany = Submitted | { refused: LonghaulError };

// So that messages and records of one moment fill their batches.
const atOnce = 500;

/** In their order. With a `key` each is taken once, however often the whole is sent. */
export const submitMany = (
  app: Submitting,
  all: readonly (() => JobRequest)[],
  key?: string,
): Promise<OneOfMany[]> =>
  inParts(all, atOnce, (read, at) =>
    orRefused(async () => submitOnce(app, read(), key && `${key} ${at}`)),
  );

/** What the caller did wrong is its answer; what went wrong here fails the whole, to be sent again. */
export async function orRefused<T>(act: () => Promise<T>): Promise<T | { refused: LonghaulError }> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof LonghaulError && error.status < 500) return { refused: error };
    throw error;
  }
}
