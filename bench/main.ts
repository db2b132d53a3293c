/** `npm run bench [jobs]`: first figures, through HTTP and the whole local stack. */

import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '#dev/stack/ports.js';
import { startStack } from '#dev/stack/stack.js';

const jobs = Number(process.argv[2] ?? 2000);
const inFlight = 64;
const body = JSON.stringify({
  type: 'report',
  input: { data: 'a,b\nx,1\n', groupBy: ['a'], measures: [{ column: 'b', of: 'sum' }] },
});
const echo = JSON.stringify({ type: 'test.echo', input: { value: 1 } });

async function post(url: string, text: string, prefer?: string) {
  const response = await fetch(`${url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(prefer ? { prefer } : {}) },
    body: text,
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as { id: string; state: string };
}

/** Runs `act` `count` times, `inFlight` at once; answers the seconds it took. */
async function timed(count: number, act: (n: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < count) await act(next++);
    }),
  );
  return (performance.now() - began) / 1000;
}

const percentile = (sorted: number[], p: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? 0;

function tell(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(58)} ${figure}\n`);
}

async function untilEnded(url: string, ids: string[]): Promise<void> {
  let left = ids;
  while (left.length > 0) {
    const checked = await Promise.all(
      left.slice(-inFlight).map(async (id) => {
        const response = await fetch(`${url}/api/jobs/${id}`);
        return ((await response.json()) as { state: string }).state === 'succeeded';
      }),
    );
    const from = Math.max(0, left.length - inFlight);
    left = left.filter((_, i) => i < from || !checked[i - from]);
  }
}

async function throughput(url: string, what: string, text: string): Promise<void> {
  const ids: string[] = [];
  const began = performance.now();
  const submitted = await timed(jobs, async () => {
    ids.push((await post(url, text)).id);
  });
  await untilEnded(url, ids);
  const all = (performance.now() - began) / 1000;
  tell(`${what}: accepted`, `${(jobs / submitted).toFixed(0)} jobs/s`);
  tell(`${what}: accepted, run and recorded`, `${(jobs / all).toFixed(0)} jobs/s`);
}

async function latency(url: string): Promise<void> {
  const times: number[] = [];
  for (let n = 0; n < 200; n++) {
    const began = performance.now();
    const { state } = await post(url, echo, 'wait=20');
    if (state !== 'succeeded') throw new Error(`The job ${state}`);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  const p50 = percentile(times, 0.5).toFixed(1);
  const p99 = percentile(times, 0.99).toFixed(1);
  tell('submit to completion seen (Prefer: wait), one at a time', `p50 ${p50} ms, p99 ${p99} ms`);
}

const data = await mkdtemp(join(tmpdir(), 'longhaul-bench-'));
const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
const stack = await startStack({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  data,
  host: '127.0.0.1',
  ports: { http, serviceBus, blob, queue, table },
  main: 'dist/test/support/app.js',
});
try {
  tell(
    'machine',
    `${cpus().length} cores, Node ${process.version}, ${jobs} jobs, ${inFlight} in flight`,
  );
  await throughput(stack.url, 'warm-up', echo);
  await throughput(stack.url, 'a job that does nothing', echo);
  await throughput(stack.url, 'a small report (checkpoint and a file in a blob)', body);
  await latency(stack.url);
} finally {
  await stack.stop();
  await rm(data, { recursive: true, force: true });
}
