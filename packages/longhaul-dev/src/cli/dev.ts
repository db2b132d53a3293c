/**
 * `longhaul dev`: the compiler watches the app's files, and each time they compile another worker runs them.
 * What was under way goes on there from its checkpoint; what does not compile or load changes nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Stack } from '../stack/stack.ts';
import { say } from './say.ts';
import { start } from './start.ts';

/** Calls `compiled` after each compilation without an error. */
function watchCompiler(compiled: () => void): ChildProcess {
  const isBuild = readFileSync('tsconfig.json', 'utf8').includes('"references"');
  const args = [...(isBuild ? ['-b'] : []), '--watch', '--preserveWatchOutput', '--noEmitOnError'];
  const compiler = spawn('npx', ['tsc', ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    shell: process.platform === 'win32',
    // A group of its own: npx does not always end the compiler that it started.
    detached: process.platform !== 'win32',
  });
  createInterface({ input: compiler.stdout }).on('line', (line) => {
    if (/Found 0 errors/.test(line)) compiled();
    // Beside the errors it says when it looks, which nobody needs to know.
    else if (/error TS|Found [1-9]/.test(line)) say(line.replace(/^.* - (?=Found)/, ''));
  });
  return compiler;
}

/** @throws when the app cannot be loaded: the worker before goes on */
async function reload({ parts }: Stack): Promise<void> {
  const host = parts.host.process;
  await new Promise<void>((resolve, reject) => {
    const hear = (message: { reloaded?: boolean; why?: string }) => {
      if (message.reloaded === undefined) return;
      host.off('message', hear);
      if (message.reloaded) resolve();
      else reject(new Error(message.why));
    };
    host.on('message', hear);
    host.send({ reload: true });
  });
}

/** One at a time; what was saved meanwhile is served by one more. */
function reloader(stack: Promise<Stack>): () => void {
  let isAsked = false;
  let isBusy = false;
  const run = async () => {
    isBusy = true;
    while (isAsked) {
      isAsked = false;
      const began = Date.now();
      try {
        await reload(await stack);
        say(`Served anew after ${Date.now() - began} ms.`);
      } catch (error) {
        say(`${(error as Error).message}\nThe worker before goes on.`);
      }
    }
    isBusy = false;
  };
  return () => {
    isAsked = true;
    if (!isBusy) void run();
  };
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid);
  } catch {
    // It has ended.
  }
}

export async function dev(): Promise<void> {
  let stack: Promise<Stack> | undefined;
  let again = () => {};
  const compiler = watchCompiler(() => {
    if (stack !== undefined) return again();
    stack = start();
    again = reloader(stack);
  });
  process.on('exit', () => endGroup(compiler));
  compiler.on('exit', (code) => {
    say(`The compiler ended with code ${code}.`);
    process.exit(1);
  });
}
