/** Many requests at once, each accepted or refused by itself. */
import type { JobRequest } from '../define/define-job.ts';
import { LonghaulError } from '../errors.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { submitOnce } from './idempotency.ts';
import type { Submitted, Submitting } from './submit.ts';

export type OneOfMany = Submitted | { refused: LonghaulError };

// So that messages and records of one moment fill their batches.
const atOnce = 500;

/** In their order. With a `key` each is taken once, however often the whole is sent. */
export function submitMany(
  app: Submitting,
  all: readonly (() => JobRequest)[],
  key?: string,
): Promise<OneOfMany[]> {
  const turns = turnsOf(all.length);
  return mapInChunks(all, atOnce, async (read, at) => {
    const { inTurn, pass } = turns[at] as Turn;
    const submitting = async () =>
      submitOnce(app, read(), key && JSON.stringify([key, at]), { inTurn });
    return orRefused(submitting).finally(pass);
  });
}

interface Turn {
  inTurn(send: () => Promise<void>): Promise<void>;
  /** It sends nothing any more. */
  pass(): void;
}

/** Sends go out in the order of the batch, or jobs of one key would change places. */
function turnsOf(count: number): Turn[] {
  let before = Promise.resolve();
  return Array.from({ length: count }, () => {
    const mine = before;
    let done: () => void = () => undefined;
    before = new Promise((resolve) => {
      done = resolve;
    });
    return {
      async inTurn(send) {
        await mine;
        const sent = send();
        done();
        await sent;
      },
      pass: () => void mine.then(done),
    };
  });
}

/** What the caller did wrong is its answer; what went wrong here fails the whole, to be sent again. */
export async function orRefused<T>(act: () => Promise<T>): Promise<T | { refused: LonghaulError }> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof LonghaulError && error.status < 500) return { refused: error };
    throw error;
  }
}
