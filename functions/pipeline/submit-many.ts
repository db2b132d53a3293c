/** Many requests at once, each accepted or refused by itself. */
import type { JobRequest } from '../define-job.ts';
import { LonghaulError } from '../errors.ts';
import { submitOnce } from './idempotency.ts';
import { type Submitted, type Submitting, submit } from './submit.ts';

export type OneOfMany = Submitted | { refused: LonghaulError };

// So that messages and records of one moment fill their batches.
const atOnce = 500;

/** In their order. With a `key` each is taken once, however often the whole is sent. */
export async function submitMany(
  app: Submitting,
  all: readonly (() => JobRequest)[],
  key?: string,
): Promise<OneOfMany[]> {
  const results: OneOfMany[] = [];
  for (let from = 0; from < all.length; from += atOnce) {
    const some = all.slice(from, from + atOnce);
    results.push(
      ...(await Promise.all(
        some.map((read, at) => orRefused(() => one(app, read(), key && `${key} ${from + at}`))),
      )),
    );
  }
  return results;
}

const one = (app: Submitting, request: JobRequest, key: string | undefined): Promise<Submitted> =>
  key === undefined ? submit(app, request) : submitOnce(app, request, key);

/** What the caller did wrong is its answer; what went wrong here fails the whole, to be sent again. */
export async function orRefused<T>(act: () => Promise<T>): Promise<T | { refused: LonghaulError }> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof LonghaulError && error.status < 500) return { refused: error };
    throw error;
  }
}
