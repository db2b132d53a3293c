/** One run of a handler: what its `job` works with. */

import type { Submitting } from '../admit/submit.ts';
import type { Definition } from '../define/define-job.ts';
import type { Delivery, Log } from '../ports.ts';
import type { Lease } from '../record/lease.ts';
import type { Calls } from './calls.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Lines } from './job-log.ts';
import type { Reporter } from './progress.ts';
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
  lines: Lines;
  delivery: Delivery;
  /** Gathers the undo of each kept step; the handler then goes no further than what is kept. */
  undo?: Map<string, () => Promise<void>>;
}
