/**
 * The worker as the host sees it: a process that runs the functions. It may die at any time; then all
 * calls under way fail and the next is started. As in the host (4.1037, RpcFunctionInvocationDispatcher):
 * deaths with less than half an hour between each two add up, and at the third the host starts again.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import {
  type ChildOptions,
  type StartedChild,
  startChild,
} from 'longhaul-service-bus/internal/child';
import type { Log } from '../log.ts';
import type { InvocationRequest, LoadedFunction } from '../worker/core-module.ts';
import type { FromWorker, LoadedApp, ToWorker } from '../worker-channel.ts';

export type Invoke = (
  target: LoadedFunction,
  request: InvocationRequest,
  invocationId?: string,
) => Promise<void>;

export interface WorkerOptions {
  /** The process's arguments: where the app is, where messages are settled. */
  args: readonly string[];
  settings: NodeJS.ProcessEnv;
  log: Log;
  /** `functionTimeout`: a call that lasts longer ends its worker, with all others in it. */
  timeoutMs: number;
  /** Another worker process was started. */
  onStart(pid: number): void;
  /** It died too often: the host has to start again. */
  onGivenUp(): void;
}

/** A call failed because the process that ran it ended. */
export class WorkerEndedError extends Error {
  override readonly name = 'WorkerEndedError';
}

const maxDeaths = 3;
const deathsApartMs = 30 * 60_000;
const terminateMs = 5_000;
// Whoever saved a file looks on; a later save has to wait for this one.
const loadMs = 15_000;
const notLoaded = `The app had not loaded after ${loadMs / 1000} s: something that it imports waits (await at the top level) or does not come to an end.`;

interface Call {
  resolve(): void;
  reject(error: Error): void;
  timeout: NodeJS.Timeout;
}

/** One process. */
interface Generation {
  child: StartedChild<LoadedApp>;
  calls: Map<string, Call>;
  /** Set when the host ended it. */
  endedFor?: string;
  /** Another has taken its place: what it still does ends with it. */
  isReplaced?: boolean;
}

export class Worker {
  readonly #options: WorkerOptions;
  #current: Promise<Generation>;
  #deaths: number[] = [];
  #stopping = false;

  private constructor(options: WorkerOptions) {
    this.#options = options;
    this.#current = this.#begin();
  }

  /** @throws when the app cannot be loaded */
  static async start(options: WorkerOptions): Promise<Worker> {
    const worker = new Worker(options);
    const { child } = await worker.#current;
    worker.functions = child.ready.functions.map((metadata) => ({ metadata }));
    return worker;
  }

  functions: LoadedFunction[] = [];

  /** Where the worker takes HTTP requests; waits for the next when one has just died. */
  async streams(): Promise<URL> {
    return new URL((await this.#current).child.ready.streams);
  }

  readonly invoke: Invoke = async (target, request, id = randomUUID()) => {
    const generation = await this.#current;
    const { calls, child } = generation;
    await new Promise<void>((resolve, reject) => {
      const { name } = target.metadata;
      const timeout = setTimeout(() => this.#timeOut(generation, name), this.#options.timeoutMs);
      calls.set(id, { resolve, reject, timeout });
      // What cannot be sent any more is told by the end of the process.
      child.process.send({ kind: 'invoke', id, name, request } satisfies ToWorker, () => undefined);
    });
  };

  async stop(): Promise<void> {
    this.#stopping = true;
    const generation = await this.#current.catch(() => undefined);
    if (generation) await terminate(generation);
  }

  /**
   * Another worker with what the app's files say now takes what comes from here on; the one before hands
   * back its work and ends. Answers whether it has the same functions. @throws when the app cannot be
   * loaded: the worker before goes on
   */
  async replace(): Promise<boolean> {
    const before = await this.#current;
    const next = await this.#begin({ ms: loadMs, why: notLoaded });
    this.#current = Promise.resolve(next);
    this.#deaths = [];
    before.isReplaced = true;
    void terminate(before);
    return isDeepStrictEqual(next.child.ready.functions, before.child.ready.functions);
  }

  async #begin(readyWithin?: ChildOptions['readyWithin']): Promise<Generation> {
    const { args, settings, log, onStart } = this.#options;
    const calls = new Map<string, Call>();
    const child = await startChild<LoadedApp>(
      'The worker',
      new URL('../worker/worker-process.js', import.meta.url),
      args,
      {
        env: settings,
        serialization: 'advanced',
        ...(readyWithin ? { readyWithin } : {}),
        onMessage: (message) => this.#hear(message as FromWorker, calls),
      },
    );
    const generation: Generation = { child, calls };
    child.process.once('exit', (code, signal) => {
      // As the host has it: who ends with 0 did so on its word. Nobody tells its calls, none comes after it.
      if (code !== 0 || this.#stopping) this.#ended(generation, signal ?? `code ${code}`);
    });
    log('debug', `Worker ${child.process.pid} is ready.`);
    onStart(child.process.pid ?? 0);
    return generation;
  }

  #hear(message: FromWorker, calls: Generation['calls']): void {
    if (message.kind === 'log') {
      const { level, message: text, category } = message;
      this.#options.log(level, text, category === undefined ? {} : { category });
      return;
    }
    if (message.kind !== 'ended') return;
    const call = calls.get(message.id);
    calls.delete(message.id);
    clearTimeout(call?.timeout);
    if (message.error) call?.reject(Object.assign(new Error(message.error.message), message.error));
    else call?.resolve();
  }

  /** The host has no other way to end a call than to end the process. */
  #timeOut(generation: Generation, name: string): void {
    generation.endedFor = `${name} ran longer than functionTimeout (${this.#options.timeoutMs} ms)`;
    generation.child.process.kill('SIGKILL');
  }

  #ended(generation: Generation, how: string): void {
    const { calls, endedFor, child } = generation;
    const why = endedFor ?? `it ended (${how})`;
    if (!this.#stopping && !generation.isReplaced) {
      this.#options.log(
        'error',
        `Worker ${child.process.pid}: ${why}. ${calls.size} calls under way fail.`,
      );
      this.#current = this.#next(endedFor === undefined);
      // Who calls meanwhile gets the error.
      this.#current.catch(() => undefined);
    }
    for (const { reject, timeout } of calls.values()) {
      clearTimeout(timeout);
      reject(new WorkerEndedError(`The worker that ran this call is gone: ${why}.`));
    }
    calls.clear();
  }

  /** Another process in its place, unless there were too many. */
  async #next(isDeath: boolean): Promise<Generation> {
    for (let counts = isDeath; ; counts = true) {
      if (counts) this.#countDeath();
      if (this.#deaths.length >= maxDeaths) break;
      try {
        const next = await this.#begin();
        if (this.#stopping) next.child.process.kill('SIGKILL');
        return next;
      } catch (error) {
        this.#options.log('error', (error as Error).message);
        if (this.#stopping) break;
      }
    }
    if (!this.#stopping) this.#options.onGivenUp();
    throw new WorkerEndedError('The worker died too often: the host starts again.');
  }

  #countDeath(): void {
    const now = Date.now();
    if (now - (this.#deaths.at(-1) ?? now) > deathsApartMs) this.#deaths = [];
    this.#deaths.push(now);
  }
}

/** WorkerTerminate: the app may hand back its work, then the process ends. */
async function terminate(generation: Generation): Promise<void> {
  if (hasEnded(generation)) return;
  const { process } = generation.child;
  const gone = once(process, 'exit');
  const late = setTimeout(() => process.kill('SIGKILL'), terminateMs);
  process.send({ kind: 'terminate' } satisfies ToWorker, () => undefined);
  await gone;
  clearTimeout(late);
}

const hasEnded = ({ child: { process } }: Generation): boolean =>
  process.exitCode !== null || process.signalCode !== null;
