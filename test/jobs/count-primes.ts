import { parentPort, workerData } from 'node:worker_threads';

const { below } = workerData as { below: number };
const divides = (n: number) => (by: number) => n % by === 0;
const primes: number[] = [];
for (let n = 2; n < below; n++) {
  const upTo = Math.sqrt(n);
  const end = primes.findIndex((prime) => prime > upTo);
  if (!primes.slice(0, end === -1 ? undefined : end).some(divides(n))) primes.push(n);
  if (n % 1_000 === 0) parentPort?.postMessage({ progress: { done: n, of: below } });
}
parentPort?.postMessage({ result: primes.length });
