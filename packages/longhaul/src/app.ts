/** Composition: settings, clients, stores, pipeline, triggers. `index.ts` gives it the catalogue. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { app } from '@azure/functions';
import { DefaultAzureCredential } from '@azure/identity';
import { SessionAllocator } from './admit/key.ts';
import { createBatch } from './azure/batch.ts';
import { createBlobs, inboxContainer, ownContainer } from './azure/blobs.ts';
import { type Account, createClients } from './azure/clients.ts';
import { checkExtension } from './azure/extension-base.ts';
import { createKeyValueStore } from './azure/key-value-store.ts';
import { log } from './azure/log.ts';
import { blobsOf, inEach, recordsOf, removalOf, spread } from './azure/places.ts';
import { createQueue, queueOf } from './azure/queue.ts';
import { createRecords } from './azure/records.ts';
import { createRemoval } from './azure/removal.ts';
import { createSchedules } from './azure/schedules.ts';
import { appKey, createSeal, secretOf } from './azure/seal.ts';
import { SessionCache } from './azure/session-cache.ts';
import { JobTypes } from './define/catalogue.ts';
import type { Catalogue } from './define/define-job.ts';
import { BadRequestError, SettingsError } from './errors.ts';
import { createNotify, type Listeners } from './fate/listeners.ts';
import { onStrayRejection } from './handler/on-behalf.ts';
import { registerActions } from './http/actions.ts';
import { registerDeadLetters } from './http/dead-letters.ts';
import { registerEvents } from './http/events.ts';
import { registerExamplePage } from './http/example-page.ts';
import { registerHealth } from './http/health.ts';
import { registerJobs } from './http/jobs.ts';
import { registerKept } from './http/kept.ts';
import { registerDescriptions } from './http/openapi.ts';
import { registerPauses } from './http/pauses.ts';
import { registerSchedules } from './http/schedules.ts';
import { registerState } from './http/state.ts';
import { instanceOf } from './instance.ts';
import { after } from './long-timer.ts';
import { createIdMaker } from './model/id.ts';
import { readTopology, type Topology } from './model/topology.ts';
import { actionJob } from './operate/action.ts';
import { redriveJob } from './operate/redrive.ts';
import { callback, webCall } from './outbound/built-in.ts';
import { type Outbound, signersOf } from './outbound/receivers.ts';
import { simulation } from './outbound/simulation.ts';
import type { Clock } from './ports.ts';
import { withExpiry } from './record/expiry.ts';
import { pause } from './record/pause.ts';
import { Pauses } from './record/pauses.ts';
import type { Working } from './run/attempt.ts';
import { ConcurrencyLimiter } from './run/concurrency-limiter.ts';
import { Heartbeat } from './run/heartbeat.ts';
import { SessionFairness } from './run/session-fairness.ts';
import { readSettings, type Settings } from './settings.ts';
import { Tally } from './tally.ts';
import { registerInbox } from './triggers/blobs.ts';
import { registerCompletions, registerQueues } from './triggers/queues.ts';
import { registerTimers } from './triggers/timers.ts';
import { UnderWay } from './triggers/under-way.ts';

const clock: Clock = { now: () => new Date(), after };

export interface AppOptions {
  /** Where `topology.json` is, or what it says. */
  topology: URL | object;
  /** Listeners in this process to what happens to jobs. */
  on?: Listeners;
}

/** Registers every function of an app that serves these job types. @throws SettingsError, DefinitionError */
export function registerApp(catalogue: Catalogue, { topology: given, on = {} }: AppOptions): void {
  checkExtension();
  const settings = readSettings();
  const topology = readTopology(given);
  const here = instanceOf(settings);
  const outbound = outboundOf(settings);
  const ours = [...builtIn(settings, outbound), redriveJob(() => worker), actionJob(() => worker)];
  const types = new JobTypes([...catalogue, ...ours], topology);
  checkLanes(settings, topology);
  const clients = createClients(settings);
  // A bus without a setting is told now, not when its first job comes.
  for (const { bus } of topology.lanes) clients.serviceBus(bus);
  const stores = spread(settings.DATA_PLACES, (name) => storesOf(clients.account(name)));
  const { ready, notesTable, schedulesTable } = stores.main;
  const notes = createKeyValueStore(notesTable, ready);
  const key = untilReady(() => appKey(notes));
  const seal = createSeal(key);
  const stopping = new AbortController();
  // Every running job listens.
  setMaxListeners(0, stopping.signal);
  const tally = new Tally(clock, log, (type) => types.find(type) !== undefined);
  const worker: Working = {
    types,
    topology,
    clock,
    log,
    records: withExpiry(recordsOf(inEach(stores, 'records')), notes, clock),
    removal: removalOf(inEach(stores, 'removal')),
    notes,
    schedules: createSchedules(schedulesTable, ready, (id) => secretOf(key, `schedule ${id}`)),
    queue: queueOf(topology, (bus) => createQueue(clients.serviceBus(bus), seal)),
    blobs: blobsOf(inEach(stores, 'blobs')),
    newId: createIdMaker(randomBytes),
    slots: new SessionAllocator(Math.random),
    notify: createNotify(on, tally, log),
    checkCallback: (url: string) => checkCallback(url, outbound),
    limiter: new ConcurrencyLimiter(settings.JOBS_AT_ONCE, topology.lanes, clock),
    pauses: new Pauses(notes, clock),
    heartbeat: new Heartbeat(
      { notes, clock, log },
      {
        ...here,
        id: randomUUID(),
        lanes: settings.LANES,
        places: settings.JOBS_AT_ONCE,
      },
    ),
    turns: new SessionFairness(clock),
    newOwner: () => randomUUID(),
    here,
    random: Math.random,
    stopping: stopping.signal,
    graceMs: settings.SHUTDOWN_GRACE_MS,
  };
  const underWay = new UnderWay();
  registerHooks(worker, stopping, underWay, tally);
  registerProbes(worker, settings);
  const sessions = new SessionCache();
  registerQueues(worker, settings.LANES, { seal, sessions, underWay });
  if (settings.API === 'on') registerApi(worker, settings);
}

function registerProbes(
  { clock, log, notes, queue, topology }: Working,
  { LANES }: Settings,
): void {
  const ownLane = topology.lanes.find(({ name }) => LANES.includes(name));
  registerHealth({
    ...{ clock, log },
    needs: {
      storage: () => notes.read('key', 'messages'),
      // One that it may receive from, whatever its identity is kept from.
      bus: () => queue.peek(ownLane?.plain ?? topology.completions, 1),
    },
  });
}

/** What is done when the process starts, and when it is to end. */
function registerHooks(
  { log, heartbeat }: Working,
  stopping: AbortController,
  underWay: UnderWay,
  tally: Tally,
): void {
  app.setup({ enableHttpStream: true });
  process.on('unhandledRejection', (reason) => onStrayRejection(log, reason));
  app.hook.appTerminate(async () => {
    stopping.abort();
    const gone = heartbeat.stop();
    await underWay.answered(terminateMs);
    tally.flush();
    await gone;
  });
  app.hook.appStart(() => {
    heartbeat.start();
    // The host (4.1037, WorkerProcess) takes an end with 0 for one of its own: it would start no other
    // worker, and what ran in this one would stay locked.
    process.on('exit', (code) => {
      if (code === 0 && !stopping.signal.aborted) process.exitCode = 1;
    });
  });
}

/** What one app of an installation does for all. */
function registerApi(worker: Working, { MAX_REQUEST_BYTES, INBOX }: Settings): void {
  const api = { ...worker, maxRequestBytes: MAX_REQUEST_BYTES };
  registerJobs(api);
  registerKept(api);
  registerSchedules(api);
  registerPauses(api);
  registerState(api);
  registerActions(api);
  registerDeadLetters(api);
  registerEvents(api);
  registerExamplePage();
  registerDescriptions(api);
  registerInbox(worker, INBOX);
  registerCompletions(worker);
  registerTimers(worker);
}

// The worker ends once the hook has; the host (4.1037) ends it after five seconds.
const terminateMs = 4_500;

/** The job types that come with Longhaul; the last where there is a Batch account. */
function builtIn({ BATCH_URL: url, BATCH_POOL: pool }: Settings, outbound: Outbound): Catalogue {
  const always = [callback(outbound), webCall(outbound)];
  if (!url) return always;
  const credential = new DefaultAzureCredential();
  return [...always, simulation(createBatch({ url, pool, credential }))];
}

const outboundOf = (settings: Settings): Outbound => ({
  allowed: settings.OUTBOUND_ALLOW,
  secret: settings.CALLBACK_SECRET,
  secrets: settings.CALLBACK_SECRETS,
  headers: settings.OUTBOUND_HEADERS,
});

/** Told at submit, where somebody reads it. @throws BadRequestError */
function checkCallback(url: string, outbound: Outbound): void {
  const wrong = (cause: Error) => {
    const issues = [{ pointer: '/callback/url', message: cause.message }];
    return new BadRequestError(cause.message, issues, { cause });
  };
  try {
    signersOf(url, outbound);
  } catch (error) {
    throw wrong(error as Error);
  }
}

function checkLanes({ LANES }: Settings, { lanes }: Topology): void {
  const known = lanes.map(({ name }) => name);
  const unknown = LANES.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new SettingsError(
    `LANES names ${unknown.join(', ')}, but topology.json has ${known.join(', ')}.`,
  );
}

const tryAgainMs = 2_000;

/** Storage may come up after the app: what needs it waits, and the probe says so meanwhile. */
async function untilReady<T>(create: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await create();
    } catch (error) {
      log('error', `Storage is out of reach, trying again: ${(error as Error).message}`);
      await pause(clock, tryAgainMs);
    }
  }
}

/** What is kept in an account, once its tables and containers are there. */
function storesOf(account: Account) {
  const jobsTable = account.table('longhauljobs');
  const tombstonesTable = account.table('longhaultombstones');
  const notesTable = account.table('longhaulnotes');
  const schedulesTable = account.table('longhaulschedules');
  const tables = [jobsTable, tombstonesTable, notesTable, schedulesTable];
  const ready = untilReady(() => createStores(account, tables));
  return {
    ...{ ready, notesTable, schedulesTable },
    records: createRecords(jobsTable, ready),
    removal: createRemoval(jobsTable, tombstonesTable, ready),
    blobs: createBlobs(account.blobs, ready),
  };
}

/**
 * Tables and containers: made if they are not there, or looked for where Bicep makes them and this app
 * may not.
 */
async function createStores(
  { blobs, makesStores }: Account,
  tables: ReturnType<Account['table']>[],
): Promise<void> {
  const containers = [ownContainer, inboxContainer].map((name) => blobs.getContainerClient(name));
  await Promise.all([
    ...tables.map((table) =>
      makesStores ? table.createTable() : table.listEntities().byPage({ maxPageSize: 1 }).next(),
    ),
    ...containers.map((container) =>
      makesStores
        ? container.createIfNotExists()
        : container.listBlobsFlat().byPage({ maxPageSize: 1 }).next(),
    ),
  ]);
}
