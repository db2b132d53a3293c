/** The servers of `npm run bench:bus`, each a process, and what of the machine they use. */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { freePorts } from '#dev/stack/ports.js';
import { startChild } from '#service-bus/child.js';

export interface Started {
  port: number;
  pid: number;
  startedMs: number;
  stop(): Promise<void>;
}

export async function startBroker(topology: string, data?: string): Promise<Started> {
  const [port = 0] = await freePorts(1);
  const began = performance.now();
  const child = await startChild<{ port: number }>(
    'broker',
    new URL(import.meta.resolve('#service-bus/process.js')),
    ['--topology', topology, '--port', String(port), ...(data ? ['--data', data] : [])],
  );
  const startedMs = performance.now() - began;
  return { port, pid: child.process.pid ?? 0, startedMs, stop: () => child.stop() };
}

export async function startBareRhea(): Promise<Started> {
  const child = fork(new URL('./bus-rhea.js', import.meta.url));
  const port = await new Promise<number>((resolve) => child.once('message', resolve as () => void));
  return { port, pid: child.pid ?? 0, startedMs: 0, stop: async () => void child.kill('SIGKILL') };
}

export const memoryOf = ({ pid }: Started) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

/** Milliseconds of processor time that a process has had, all its threads and the one of its loop. */
export function cpuOf({ pid }: Started): { all: number; loop: number } {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => ({
    isLoop: thread === String(pid),
    ms: Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6,
  }));
  const all = threads.reduce((sum, { ms }) => sum + ms, 0);
  return { all, loop: threads.find(({ isLoop }) => isLoop)?.ms ?? 0 };
}

// Of what the system tells of its processors: hundredths of a second.
const tickMs = 10;

/** Milliseconds that the machine's processors have worked, for anybody. */
export function cpuOfMachine(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    /^cpu +(.*)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1]?.split(' ').map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * tickMs;
}
