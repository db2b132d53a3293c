/**
 * `npm run bench:overload [connections] [seconds]`: more than it can carry. Each connection submits again
 * as soon as it is answered, whatever the answer says; then everything that was accepted has to end.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '#dev/stack/ports.js';
import { startStack } from '#dev/stack/stack.js';

const [connections = 1_000, seconds = 30] = process.argv.slice(2).map(Number);
const body = JSON.stringify({ type: 'test.echo', input: { value: 1 } });

interface Answer {
  status: number;
  retryAfter: string | undefined;
  text: string;
}

function call(agent: Agent, url: string, method: string, sent?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = sent ? { 'content-type': 'application/json' } : {};
    const asked = request(url, { agent, method, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => {
        text += part;
      });
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          retryAfter: answer.headers['retry-after'],
          text,
        }),
      );
    });
    asked.on('error', reject);
    asked.end(sent);
  });
}

/** Resident, in MB. */
function memoryOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
  } catch {
    return 0;
  }
}

const tell = (what: string, figure: unknown) =>
  process.stdout.write(`${what.padEnd(46)} ${figure}\n`);

const root = fileURLToPath(new URL('../..', import.meta.url));
const data = await mkdtemp(join(tmpdir(), 'longhaul-overload-'));
const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
const stack = await startStack({
  ...{ root, data, host: '127.0.0.1', main: 'dist/test/support/app.js' },
  ports: { http, serviceBus, blob, queue, table },
});
const agent = new Agent({ keepAlive: true, maxSockets: connections });
const counts = new Map<string, number>();
const accepted: string[] = [];
const took: number[] = [];
const pids = {
  host: stack.parts.host.process.pid,
  worker: (stack.parts.host.ready as { worker: number }).worker,
  broker: stack.parts.serviceBus.process.pid,
};
const most: Record<string, number> = {};
const watch = setInterval(() => {
  for (const [name, pid] of Object.entries(pids))
    most[name] = Math.max(most[name] ?? 0, memoryOf(pid));
}, 500);

async function connection(until: number): Promise<void> {
  while (Date.now() < until) {
    const began = Date.now();
    const answer = await call(agent, `${stack.url}/api/jobs`, 'POST', body).catch(
      (error: NodeJS.ErrnoException) => ({
        ...{ status: 0, text: '' },
        retryAfter: error.code ?? error.message,
      }),
    );
    const says = answer.retryAfter === undefined ? 'without' : 'with';
    const name =
      answer.status === 0 ? `error ${answer.retryAfter}` : `${answer.status} ${says} Retry-After`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    took.push(Date.now() - began);
    if (answer.status === 202) accepted.push((JSON.parse(answer.text) as { id: string }).id);
  }
}

try {
  const before = { worker: memoryOf(pids.worker), host: memoryOf(pids.host) };
  await Promise.all(
    Array.from({ length: connections }, () => connection(Date.now() + seconds * 1000)),
  );
  took.sort((a, b) => a - b);
  tell('connections, seconds', `${connections}, ${seconds}`);
  for (const [name, count] of counts) tell(name, count);
  tell(
    'median, 99th, longest answer in ms',
    [0.5, 0.99, 1].map((p) => took[Math.min(took.length - 1, Math.floor(took.length * p))]),
  );
  const began = Date.now();
  let left = accepted;
  while (left.length > 0) {
    const open: string[] = [];
    for (let from = 0; from < left.length; from += 64)
      await Promise.all(
        left.slice(from, from + 64).map(async (id) => {
          const { status, text } = await call(agent, `${stack.url}/api/jobs/${id}`, 'GET');
          if (status !== 200 || (JSON.parse(text) as { state: string }).state !== 'succeeded')
            open.push(id);
        }),
      );
    left = open;
    if (Date.now() - began > 600_000) throw new Error(`${left.length} have not ended: ${left[0]}`);
    await pause(1_000);
  }
  tell(
    'accepted, all of them run',
    `${accepted.length}, after ${(Date.now() - began) / 1000} s more`,
  );
  for (const [name, mb] of Object.entries(most)) tell(`memory of the ${name}, at most`, `${mb} MB`);
  tell('memory of worker and host before', `${before.worker}, ${before.host} MB`);
} finally {
  clearInterval(watch);
  agent.destroy();
  await stack.stop();
  await rm(data, { recursive: true, force: true });
}
