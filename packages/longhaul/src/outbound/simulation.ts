/**
 * A sample: work for hundreds of machines. Azure Batch runs the parts, the job waits for them and holds
 * no worker meanwhile. The last task tells of the end by an event; what it says is not believed but
 * looked up.
 */
import { z } from 'zod';
import { defineJob } from '../define/define-job.ts';
import { EventTimeoutError, NonRetryableError } from '../errors.ts';

export interface BatchTask {
  id: number;
  command: string;
  environment: Record<string, string>;
  /** Starts when these have ended well. */
  after?: { from: number; to: number };
}

/** What a job needs of Azure Batch; `azure/batch.ts` is the real one. */
export interface Batch {
  /** Starts a Batch job of that id with these tasks; what is there already stays. */
  submit(id: string, tasks: readonly BatchTask[]): Promise<void>;
  counts(id: string): Promise<{ succeeded: number; failed: number; open: number }>;
  remove(id: string): Promise<void>;
}

// Both stand in the pool's image; the second posts the event, as docs/deploy.md shows.
const part = 'simulate';
const tell = 'tell-longhaul finished';

export const simulation = (batch: Batch) =>
  defineJob({
    type: 'simulation',
    input: z.strictObject({ parts: z.int().min(1).max(10_000), seed: z.int().default(1) }),
    output: z.object({ parts: z.number(), batchJob: z.string() }),
    lane: 'bulk',
    timeout: '5m',
    attempts: 5,
    events: { finished: z.object({}) },

    async run({ parts, seed }, job) {
      const batchJob = `longhaul-${job.id}`;
      const of = { LONGHAUL_JOB_ID: job.id, SIMULATION_SEED: String(seed) };
      await job.step(
        'submit',
        () =>
          batch.submit(batchJob, [
            ...Array.from({ length: parts }, (_, n) => ({
              id: n + 1,
              command: part,
              environment: { ...of, SIMULATION_PART: String(n + 1) },
            })),
            { id: parts + 1, command: tell, environment: of, after: { from: 1, to: parts } },
          ]),
        { undo: () => batch.remove(batchJob) },
      );
      try {
        await job.event('finished', { timeout: '6h' });
      } catch (error) {
        // The event is a courtesy: Batch itself knows whether it is done.
        if (!(error instanceof EventTimeoutError)) throw error;
      }
      // The teller may itself still be running.
      const { succeeded, failed } = await job.step('look', () => batch.counts(batchJob));
      if (succeeded < parts)
        throw new NonRetryableError(
          `${succeeded} of ${parts} parts succeeded, ${failed} failed, in ${batchJob}.`,
        );
      await job.step('clean', () => batch.remove(batchJob));
      return { parts, batchJob };
    },
  });
