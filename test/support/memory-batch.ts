import type { Batch, BatchTask } from '#longhaul/outbound/simulation.js';

/** A Batch account whose tasks end at once; with the seed 13 the first part fails. */
export function memoryBatch(): Batch {
  const jobs = new Map<string, readonly BatchTask[]>();
  return {
    async submit(id, tasks) {
      if (!jobs.has(id)) jobs.set(id, tasks);
    },
    async counts(id) {
      const tasks = jobs.get(id) ?? [];
      const failed = tasks.some(({ environment }) => environment['SIMULATION_SEED'] === '13')
        ? 1
        : 0;
      return { succeeded: Math.max(0, tasks.length - failed - 1), failed, open: 1 };
    },
    async remove(id) {
      jobs.delete(id);
    },
  };
}
