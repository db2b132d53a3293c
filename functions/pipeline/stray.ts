/**
 * A promise that a handler left behind may be rejected when nobody looks. That fails its job, not the
 * process: the others that run beside it did nothing.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { UnhandledRejectionError } from '../errors.ts';
import { asError } from '../model/error-record.ts';
import type { Log } from './ports.ts';

interface Running {
  job: string;
  /** Ends the attempt; false once it has ended. */
  fail(error: Error): boolean;
}

const running = new AsyncLocalStorage<Running>();

/** Runs a handler, so that what it leaves behind is known as its own. */
export const asHandler = <T>(of: Running, run: () => Promise<T>): Promise<T> =>
  running.run(of, run);

/** For the process' event `unhandledRejection`. Rethrows what is no handler's: that is a fault here. */
export function onStrayRejection(log: Log, reason: unknown): void {
  const of = running.getStore();
  if (!of) throw reason;
  const error = new UnhandledRejectionError(asError(reason));
  if (!of.fail(error))
    log('error', `job ${of.job}, after its attempt had ended: ${error.message}`, { error });
}
