import { createServer } from 'node:net';

// Below the range from which systems pick ports by themselves (Linux: 32768, others: 49152), so that
// the port of a part that was killed is still free when the part is started again.
const first = 20_000;
const count = 12_000;
// Each process looks in a part of its own, so that two that look at once find different ports.
let next = (process.pid * 32) % count;

/** Ports that are free now, each another; the servers that found them are closed. */
export async function freePorts(wanted: number): Promise<number[]> {
  const found: number[] = [];
  for (let tries = 0; found.length < wanted; tries++) {
    if (tries === count) throw new Error(`No free port from ${first} to ${first + count - 1}.`);
    const port = first + (next++ % count);
    if (await isFree(port)) found.push(port);
  }
  return found;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
