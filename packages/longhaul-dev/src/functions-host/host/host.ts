/** The local Functions host: owns listeners, locks, timers and the HTTP front; a worker runs the functions. */
import { BlobServiceClient } from '@azure/storage-blob';
import { createLog, type Log } from '../log.ts';
import type { LoadedFunction } from '../worker/core-module.ts';
import { type AppSettings, isDisabled, logLevelOf, readHostJson } from './app-settings.ts';
import { listenBlobs } from './blob.ts';
import { listenHttp } from './http.ts';
import type { Listener } from './listener.ts';
import { listenServiceBus } from './service-bus.ts';
import { Settlement, serveSettlement } from './settlement.ts';
import { listenTimers } from './timer.ts';
import { triggerOf } from './trigger.ts';
import { Worker } from './worker.ts';

export interface HostOptions {
  /** The app's folder: host.json, and package.json whose `main` is the entry point. */
  root: string;
  host: string;
  port: number;
  settings: AppSettings;
  /** Another entry point, below `root`. */
  main?: string;
  /** A worker process was started, the first one or one in the place of another. */
  onWorker?(pid: number): void;
}

export interface Host {
  port: number;
  functions: string[];
  /** Runs what the app's files say now. @throws when they cannot be loaded: what runs goes on */
  reload(): Promise<void>;
  /** Takes in nothing new and has the worker hand back what runs; ten seconds at most. */
  stop(): Promise<void>;
}

/** A host until it starts again. */
interface Once extends Omit<Host, 'reload'> {
  replace(): Promise<boolean>;
}

const stopMs = 10_000;
const quietMs = 1_000;
const tryAgainMs = 2_000;

/** A host that starts again, on the same port, when its worker died too often. @throws if the app fails */
export async function startHost(options: HostOptions): Promise<Host> {
  const log = createLog(logLevelOf(readHostJson(options.root, options.settings)));
  let isStopping = false;
  let current: Promise<Once>;
  const again = async (before: Once, { port }: Once): Promise<Once> => {
    await before.stop();
    for (;;) {
      try {
        return await startOnce({ ...options, port }, log, giveUp);
      } catch (error) {
        log('error', `The host cannot start: ${(error as Error).message}`);
        if (isStopping) return before;
        await new Promise((resolve) => setTimeout(resolve, tryAgainMs));
      }
    }
  };
  const giveUp = () => {
    if (isStopping) return;
    log('error', 'The worker died three times: the host starts again.');
    current = current.then((before) => again(before, first));
  };
  current = startOnce(options, log, () => giveUp());
  const first = await current;
  return {
    port: first.port,
    functions: first.functions,
    async reload() {
      const before = await current;
      if (await before.replace()) return;
      log('warning', 'The app has other functions now: the host starts again.');
      current = again(before, first);
      await current;
    },
    async stop() {
      isStopping = true;
      await (await current).stop();
    },
  };
}

const kinds = {
  httptrigger: 'http',
  servicebustrigger: 'serviceBus',
  timertrigger: 'timer',
  blobtrigger: 'blob',
} as const;

function sortByKind(functions: readonly LoadedFunction[]) {
  const sorted: Record<(typeof kinds)[keyof typeof kinds], LoadedFunction[]> = {
    http: [],
    serviceBus: [],
    timer: [],
    blob: [],
  };
  for (const target of functions) {
    const type = triggerOf(target).binding.type;
    const kind = kinds[type.toLowerCase() as keyof typeof kinds];
    if (!kind)
      throw new Error(
        `Function ${target.metadata.name}: the local host has no ${type} (it has ${Object.keys(kinds).join(', ')}).`,
      );
    sorted[kind].push(target);
  }
  return sorted;
}

async function startOnce(options: HostOptions, log: Log, onGivenUp: () => void): Promise<Once> {
  const { host, port, settings, onWorker = () => undefined } = options;
  const hostJson = readHostJson(options.root, settings);
  const settlement = new Settlement();
  const grpc = await serveSettlement(settlement);
  const started: Pick<Listener, 'quiesce' | 'stop'>[] = [];
  const quiesce = () => Promise.all(started.map((part) => part.quiesce?.()));
  const stop = async () => {
    await Promise.race([quiesce(), new Promise((resolve) => setTimeout(resolve, quietMs))]);
    const stopped = Promise.allSettled(started.map((part) => part.stop()));
    const late = new Promise((resolve) => setTimeout(resolve, stopMs).unref());
    await Promise.race([stopped, late]);
    grpc.stop();
  };
  try {
    const worker = await Worker.start({
      args: argumentsOf(options, grpc.args),
      settings,
      log,
      timeoutMs: hostJson.functionTimeout,
      onStart: onWorker,
      onGivenUp() {
        void quiesce();
        onGivenUp();
      },
    });
    started.push(worker);
    const enabled = worker.functions.filter(({ metadata }) => !isDisabled(metadata.name, settings));
    const { http, serviceBus, timer, blob } = sortByKind(enabled);
    const context = { settings, hostJson, invoke: worker.invoke, log };
    const web = await listenHttp(http, context, () => worker.streams(), { host, port });
    started.push(web);
    started.push(await listenServiceBus(serviceBus, context, settlement));
    started.push(await listenTimers(timer, context, () => storageOf(settings)));
    started.push(await listenBlobs(blob, context, () => storageOf(settings)));
    const functions = enabled.map(({ metadata }) => metadata.name);
    return { port: web.port, functions, replace: () => worker.replace(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function argumentsOf({ root, main }: HostOptions, grpc: readonly string[]): string[] {
  return [...grpc, '--root', root, ...(main === undefined ? [] : ['--main', main])];
}

function storageOf(settings: AppSettings): BlobServiceClient {
  const connection = settings['AzureWebJobsStorage'];
  if (!connection)
    throw new Error('Timers and blob triggers need the setting AzureWebJobsStorage.');
  return BlobServiceClient.fromConnectionString(connection);
}
