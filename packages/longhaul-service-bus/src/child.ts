/** Processes of the stack: started with a channel to their parent, ended with it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** In a child: leave when the parent is gone, however it went, and leave Ctrl-C to the parent. */
export function endWithParent({ evenBlocked = false } = {}): void {
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(0));
  if (evenBlocked) new Worker(watchParent, { eval: true, env: {} }).unref();
}

// A thread of its own sees it also while the main one runs in circles.
const watchParent = `
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1000);
`;

/** In a child: tell the parent that it can be used. */
export function reportReady(detail: unknown): void {
  process.send?.({ ready: detail });
}

/** In a child: it cannot begin, and ends. */
export function reportFailed(error: unknown): void {
  const failed = error instanceof Error ? error.message : String(error);
  process.send?.({ failed }, () => process.exit(1));
}

export interface StartedChild<T> {
  process: ChildProcess;
  ready: T;
  /** Asks the child to end and waits until it has. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readyLine?: string;
  env?: NodeJS.ProcessEnv;
  /** `advanced` lets buffers pass. */
  serialization?: 'json' | 'advanced';
  /** What else it says, from the beginning. */
  onMessage?(message: unknown): void;
  /** Ended when it is not ready by then. */
  readyWithin?: { ms: number; why: string };
}

/** Starts `file` and waits until it reports ready or, with `readyLine`, has printed that line. */
export async function startChild<T>(
  name: string,
  file: URL,
  args: readonly string[],
  { readyLine, env, serialization = 'json', onMessage, readyWithin }: ChildOptions = {},
): Promise<StartedChild<T>> {
  const child = fork(file, args, {
    serialization,
    stdio: ['ignore', readyLine ? 'pipe' : 'inherit', readyLine ? 'pipe' : 'inherit', 'ipc'],
    ...(env ? { env } : {}),
  });
  if (onMessage) child.on('message', onMessage);
  const ready = await new Promise<T>((resolve, reject) => {
    const fail = (why: string) => {
      // A child that could not begin would keep its parent alive.
      child.kill('SIGKILL');
      reject(new Error(why));
    };
    const late = readyWithin && setTimeout(() => fail(readyWithin.why), readyWithin.ms);
    const end = () => clearTimeout(late);
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      if (readyLine && output.includes(readyLine)) resolve(undefined as T);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on('message', (message: { ready?: T; failed?: string }) => {
      if (message.ready !== undefined || message.failed !== undefined) end();
      if (message.ready !== undefined) resolve(message.ready);
      if (message.failed !== undefined) fail(message.failed);
    });
    child.once('exit', (code) => {
      end();
      fail(`${name} ended with code ${code} before it was ready. ${output}`);
    });
  });
  return {
    process: child,
    ready,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}
