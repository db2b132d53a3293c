/** One run of a handler: what its `job` works with. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Definition } from '../define-job.ts';
import { NonRetryableError } from '../errors.ts';
import type { Calls } from './calls.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Lease } from './lease.ts';
import type { Delivery, Log } from './ports.ts';
import type { Reporter } from './progress.ts';
import type { Submitting } from './submit.ts';
import type { Suspension } from './suspend.ts';

export interface Run {
  app: Submitting & { log: Log };
  definition: Definition;
  lease: Lease;
  checkpoint: Checkpoint;
  reporter: Reporter;
  signal: AbortSignal;
  suspension: Suspension;
  calls: Calls;
  delivery: Delivery;
  /** Gathers the undo of each kept step; the handler then goes no further than what is kept. */
  undo?: Map<string, () => Promise<void>>;
}

const inStep = new AsyncLocalStorage<string>();

export const asStep = <T>(name: string, run: () => Promise<T>): Promise<T> => inStep.run(name, run);

/** What a step holds cannot be let go, and what it does is not repeated. @throws NonRetryableError */
export function refuseInsideStep(what: string): void {
  const step = inStep.getStore();
  if (step !== undefined)
    throw new NonRetryableError(`${what} stands inside step '${step}': put it beside the step.`);
}
