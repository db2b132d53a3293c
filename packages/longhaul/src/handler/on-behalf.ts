/**
 * What runs on behalf of which handler. A promise that a handler left behind may be rejected when
 * nobody looks: that fails its job, not the process, for the others that run beside it did nothing.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { NonRetryableError, UnhandledRejectionError } from '../errors.ts';
import { asError } from '../model/error-record.ts';
import type { Log } from '../ports.ts';

interface Running {
  job: string;
  /** Ends the attempt; false once it has ended. */
  fail(error: Error): boolean;
  /** The step that it is in, while that is under way. */
  step?: { name: string; isOpen: boolean };
}

const running = new AsyncLocalStorage<Running>();

/** Runs a handler, so that what it leaves behind is known as its own. */
export const asHandler = <T>(of: Running, run: () => Promise<T>): Promise<T> =>
  running.run(of, run);

export async function asStep<T>(name: string, run: () => Promise<T>): Promise<T> {
  const of = running.getStore();
  if (!of) return run();
  const step = { name, isOpen: true };
  try {
    return await running.run({ ...of, step }, run);
  } finally {
    // What goes on from here, in a queue of the author's say, is no part of it.
    step.isOpen = false;
  }
}

/** What a step holds cannot be let go, and what it does is not repeated. @throws NonRetryableError */
export function refuseInsideStep(what: string, job: string): void {
  const of = running.getStore();
  if (of?.job === job && of.step?.isOpen)
    throw new NonRetryableError(
      `${what} stands inside step '${of.step.name}': put it beside the step.`,
    );
}

/** For the process' event `unhandledRejection`. Rethrows what is no handler's: that is a fault here. */
export function onStrayRejection(log: Log, reason: unknown): void {
  const of = running.getStore();
  if (!of) throw reason;
  const error = new UnhandledRejectionError(asError(reason));
  if (!of.fail(error))
    log('error', `job ${of.job}, after its attempt had ended: ${error.message}`, { error });
}
