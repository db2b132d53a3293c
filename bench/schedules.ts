/** `npm run bench:schedules [stored] [due]`: what schedules cost, on the real adapters, one process. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TableClient } from '@azure/data-tables';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { z } from 'zod';
import { azuriteConnectionString, startAzurite } from '#dev/azurite/azurite.js';
import { freePorts } from '#dev/stack/ports.js';
import { startServiceBus } from '#dev/stack/stack.js';
import { SessionAllocator } from '#longhaul/admit/key.js';
import { createBlobs } from '#longhaul/azure/blobs.js';
import { createKeyValueStore } from '#longhaul/azure/key-value-store.js';
import { createQueue } from '#longhaul/azure/queue.js';
import { createRecords } from '#longhaul/azure/records.js';
import { createRemoval } from '#longhaul/azure/removal.js';
import { createSchedules } from '#longhaul/azure/schedules.js';
import { JobTypes } from '#longhaul/define/catalogue.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { createIdMaker } from '#longhaul/model/id.js';
import type { ScheduleDefinition } from '#longhaul/model/schedule.js';
import { readTopology } from '#longhaul/model/topology.js';
import { putMany } from '#longhaul/schedules/change.js';
import { tick } from '#longhaul/schedules/tick.js';

const [stored = 100_000, due = 10_000] = process.argv.slice(2).map(Number);
const root = fileURLToPath(new URL('../..', import.meta.url));
const data = await mkdtemp(join(tmpdir(), 'longhaul-bench-'));
const [blob = 0, queue = 0, table = 0, serviceBus = 0] = await freePorts(4);
const ports = { blob, queue, table, http: 0, serviceBus };
const options = { root, data, host: '127.0.0.1', ports };
const azurite = await startAzurite(options);
const broker = await startServiceBus(options);
const connection = azuriteConnectionString(options);
const bus = new ServiceBusClient(broker.ready.connectionString);

let requests = 0;
const tableOf = async (name: string) => {
  const client = TableClient.fromConnectionString(connection, name, {
    allowInsecureConnection: true,
  });
  client.pipeline.addPolicy({
    name: 'count',
    sendRequest(request, next) {
      requests++;
      return next(request);
    },
  });
  await client.createTable();
  return client;
};

const type = defineJob({ type: 'nightly', input: z.object({}), run: async () => ({}) });
const topology = readTopology(new URL('../../topology.json', import.meta.url));
const ready = Promise.resolve();
const jobs = await tableOf('jobs');
let now = Date.now();
const app = {
  types: new JobTypes([type], topology),
  topology,
  records: createRecords(jobs, ready),
  removal: createRemoval(jobs, await tableOf('tombstones'), ready),
  notes: createKeyValueStore(await tableOf('notes'), ready),
  schedules: createSchedules(await tableOf('schedules'), ready, async (id) => id),
  queue: createQueue(bus),
  blobs: createBlobs(BlobServiceClient.fromConnectionString(connection), ready),
  clock: { now: () => new Date(now), after: () => () => undefined },
  newId: createIdMaker(randomBytes),
  slots: new SessionAllocator(Math.random),
  notify: () => undefined,
  checkCallback: () => undefined,
  log: (_level: string, message: string) => process.stderr.write(`${message}\n`),
};

const tell = (what: string, figure: string) =>
  process.stdout.write(`${what.padEnd(58)} ${figure}\n`);

async function timed(act: () => Promise<unknown>): Promise<{ seconds: number; calls: number }> {
  const before = requests;
  const began = performance.now();
  await act();
  return { seconds: (performance.now() - began) / 1000, calls: requests - before };
}

const definition = (at: number): ScheduleDefinition => ({
  type: 'nightly',
  input: {},
  cron: `${new Date(at).getUTCMinutes()} ${new Date(at).getUTCHours()} * * *`,
  // No worker runs here that would tell of an end.
  overlap: 'allow',
  misfire: 'once',
  enabled: true,
});

const hour = 3_600_000;
const burst = Math.ceil(now / hour) * hour + 3 * hour;
// Of the others fifty are due in a minute of their own, the rest in far hours.
const few = burst + 2 * hour;
const rest = burst + 8 * hour;
const timeOf = (n: number) => (n < due ? burst : n < due + 50 ? few : rest + (n % 500) * 60_000);

try {
  const registered = await timed(() =>
    putMany(
      app,
      Array.from({ length: stored }, (_, n) => () => ({
        id: `tenant-${n}`,
        definition: definition(timeOf(n)),
      })),
    ),
  );
  tell(`${stored} registered`, `${(stored / registered.seconds).toFixed(0)} schedules/s`);
  const idle = await timed(() => tick(app));
  tell(
    `a tick with nothing due, of ${stored}`,
    `${(idle.seconds * 1000).toFixed(0)} ms, ${idle.calls} storage calls`,
  );
  now = burst - 10_000;
  const all = await timed(() => tick(app));
  tell(
    `${due} due at one instant, sent`,
    `${all.seconds.toFixed(1)} s, ${(due / all.seconds).toFixed(0)} jobs/s, ${all.calls} storage calls`,
  );
  now = few - 10_000;
  const some = await timed(() => tick(app));
  tell(
    `50 due, of ${stored}`,
    `${(some.seconds * 1000).toFixed(0)} ms, ${some.calls} storage calls`,
  );
} finally {
  await bus.close();
  await broker.stop();
  await azurite.stop();
  await rm(data, { recursive: true, force: true });
}
