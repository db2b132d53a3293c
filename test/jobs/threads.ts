/** Work that computes for long, each in a thread of its own. */
import { Worker } from 'node:worker_threads';
import type { Job } from 'longhaul';

export const countPrimes = new URL('./count-primes.js', import.meta.url);

/** Runs a module that posts `{ progress }`, and at its end `{ result }`. @throws what it throws, or why the job has to stop */
export function inThread<T>(
  module: URL,
  workerData: unknown,
  job: Pick<Job, 'signal' | 'progress'>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(module, { workerData });
    const stop = () => {
      reject(job.signal.reason);
      void worker.terminate();
    };
    job.signal.addEventListener('abort', stop, { once: true });
    worker.on('message', ({ progress, result }) => {
      if (progress) void job.progress(progress);
      else resolve(result);
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      job.signal.removeEventListener('abort', stop);
      reject(new Error(`The thread ended with code ${code} and no result.`));
    });
  });
}
