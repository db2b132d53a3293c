/** Processes of the stack: started with a channel to their parent, ended with it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** In a child: leave when the parent is gone, however it went, and leave Ctrl-C to the parent. */
export function endWithParent(): void {
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(0));
}

/** In a child: tell the parent that it can be used. */
export function reportReady(detail: unknown): void {
  process.send?.({ ready: detail });
}

export interface StartedChild<T> {
  process: ChildProcess;
  ready: T;
  /** Asks the child to end and waits until it has. */
  stop(): Promise<void>;
}

/** Starts `file` and waits until it reports ready or, with `readyLine`, has printed that line. */
export async function startChild<T>(
  name: string,
  file: URL,
  args: readonly string[],
  { readyLine, env }: { readyLine?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<StartedChild<T>> {
  const child = fork(file, args, {
    stdio: ['ignore', readyLine ? 'pipe' : 'inherit', readyLine ? 'pipe' : 'inherit', 'ipc'],
    ...(env ? { env } : {}),
  });
  const ready = await new Promise<T>((resolve, reject) => {
    const fail = (why: string) => {
      // A child that could not begin would keep its parent alive.
      child.kill('SIGKILL');
      reject(new Error(why));
    };
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      if (readyLine && output.includes(readyLine)) resolve(undefined as T);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on('message', (message: { ready?: T; failed?: string }) => {
      if (message.ready !== undefined) resolve(message.ready);
      if (message.failed !== undefined) fail(message.failed);
    });
    child.once('exit', (code) =>
      fail(`${name} ended with code ${code} before it was ready. ${output}`),
    );
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
