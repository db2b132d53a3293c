/**
 * What runs on behalf of which handler. A promise that a handler left behind may be rejected when
 * nobody looks: that fails its job, not the process, for the others that run beside it did nothing.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { NonRetryableError, UnhandledRejectionError } from '../errors.ts';
import { asError } from '../model/error-record.ts';
import type { Log } from './ports.ts';

interface Running {
  job: string;
  /** Ends the attempt; false once it has ended. */
  fail(error: Error): boolean;
  /** The step that it is in. */
  step?: string;
}

const running = new AsyncLocalStorage<Running>();

/** Runs a handler, so that what it leaves behind is known as its own. */
export const asHandler = <T>(of: Running, run: () => Promise<T>): Promise<T> =>
  running.run(of, run);

export function asStep<T>(step: string, run: () => Promise<T>): Promise<T> {
  const of = running.getStore();
  return of ? running.run({ ...of, step }, run) : run();
}

/** What a step holds cannot be let go, and what it does is not repeated. @throws NonRetryableError */
export function refuseInsideStep(what: string): void {
  const { step } = running.getStore() ?? {};
  if (step !== undefined)
    throw new NonRetryableError(`${what} stands inside step '${step}': put it beside the step.`);
}

/** For the process' event `unhandledRejection`. Rethrows what is no handler's: that is a fault here. */
export function onStrayRejection(log: Log, reason: unknown): void {
  const of = running.getStore();
  if (!of) throw reason;
  const error = new UnhandledRejectionError(asError(reason));
  if (!of.fail(error))
    log('error', `job ${of.job}, after its attempt had ended: ${error.message}`, { error });
}
