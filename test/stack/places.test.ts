/** One installation over two storage accounts and two namespaces, of which one has the lane `bulk` only. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { TableClient } from '@azure/data-tables';
import { ServiceBusClient } from '@azure/service-bus';
import { azuriteConnectionString, startAzurite } from '#dev/azurite/azurite.js';
import { freePorts } from '#dev/stack/ports.js';
import { type StackOptions, startFunctions, startServiceBus } from '#dev/stack/stack.js';
import { connectBus } from '#longhaul/client/bus.js';
import { readTopology } from '#longhaul/model/topology.js';
import type { StartedChild } from '#service-bus/child.js';
import { createClient, type Status } from '../support/client.ts';
import { root } from '../support/stack.ts';

const started: StartedChild<unknown>[] = [];
const accounts: string[] = [];
const buses: string[] = [];
let folder: string;
let client: ReturnType<typeof createClient>;

interface Topology {
  lanes: { name: string; bus?: string }[];
  queues: { name: string }[];
}

/** An app whose topology says so, beside the build that the tests run. */
async function appIn(home: string): Promise<Topology> {
  await cp(join(root, 'dist'), join(home, 'dist'), { recursive: true });
  for (const name of ['node_modules', 'packages'])
    await symlink(join(root, name), join(home, name));
  for (const name of ['package.json', 'host.json']) await cp(join(root, name), join(home, name));
  const topology = JSON.parse(await readFile(join(root, 'topology.json'), 'utf8')) as Topology;
  for (const lane of topology.lanes) if (lane.name === 'bulk') lane.bus = 'b';
  await writeFile(join(home, 'topology.json'), JSON.stringify(topology));
  return topology;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-places-'));
  const topology = await appIn(folder);
  const isBulk = ({ name }: { name: string }) => /^bulk/.test(name);
  const queues = [topology.queues.filter((one) => !isBulk(one)), topology.queues.filter(isBulk)];
  const [http = 0] = await freePorts(1);
  const host = '127.0.0.1';
  let options: StackOptions | undefined;
  for (const [n, some] of queues.entries()) {
    const [serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(4);
    const ports = { http, serviceBus, blob, queue, table };
    const data = join(folder, `data${n}`);
    started.push(await startAzurite({ host, ports, data: join(data, 'azurite') }));
    accounts.push(azuriteConnectionString({ host, ports, data }));
    const file = join(folder, `bus${n}.json`);
    await writeFile(file, JSON.stringify({ ...topology, queues: some }));
    const bus = await startServiceBus({ root: folder, data, host, ports, topology: file });
    started.push(bus);
    buses.push(bus.ready.connectionString);
    options ??= { root: folder, data, host, ports, main: 'dist/test/support/app.js' };
  }
  const [, second = ''] = accounts;
  const settings = {
    ServiceBus_b: buses[1] ?? '',
    DATA_PLACES: JSON.stringify([{ from: '2020-01-01T00:00:00Z', accounts: ['main', second] }]),
  };
  const [bus = '', storage = ''] = [buses[0], accounts[0]];
  started.push(await startFunctions({ ...(options as StackOptions), settings }, bus, storage));
  client = createClient(`http://127.0.0.1:${http}`);
});
after(async () => {
  for (const child of started.reverse()) await child.stop();
  await rm(folder, { recursive: true, force: true });
});

async function rowsOf(connection: string): Promise<number> {
  const table = TableClient.fromConnectionString(connection, 'longhauljobs', {
    allowInsecureConnection: true,
  });
  let rows = 0;
  for await (const _ of table.listEntities()) rows++;
  return rows;
}

test('jobs run wherever they lie, and are found and listed as if there were one place', async () => {
  const log = join(folder, 'log');
  // Children of a group lie together, and not with those of another.
  const trees = await Promise.all(
    Array.from({ length: 12 }, () => client.submit('test.tree', { depth: 2, width: 2 })),
  );
  for (const { id } of trees) assert.deepEqual((await client.ended(id)).result, { size: 7 });
  const text = 'y'.repeat(200_000);
  const large = await client.submit('test.large', { text, repeat: 100_000 });
  await client.ended(large.id);
  const result = await (await client.call(`/jobs/${large.id}/result`)).json();
  assert.equal((result as { length: number }).length, text.length);
  const input = { log, name: 'in bulk' };
  const { id } = await client.submit('test.prioritised', input, { priority: 'bulk' });
  const bulk = await client.ended(id);
  assert.deepEqual([bulk['lane'], bulk.result], ['bulk', { name: 'in bulk' }]);

  const rows = await Promise.all(accounts.map(rowsOf));
  assert.ok(
    rows.every((count) => count >= 2),
    `${rows} records`,
  );
  const listed: Status[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page = await client.call(`/jobs?limit=10${cursor && `&cursor=${cursor}`}`);
    const answer = (await page.json()) as { jobs: Status[]; cursor?: string };
    listed.push(...answer.jobs);
    cursor = answer.cursor;
  }
  assert.equal(listed.length, (rows[0] ?? 0) + (rows[1] ?? 0));
  assert.equal(new Set(listed.map((one) => one.id)).size, listed.length);
});

test('a lane’s queues are in its own namespace, for whoever sends there too', async () => {
  const [first = '', second = ''] = buses;
  const send = async (connection: string, messageId: string) => {
    const bus = new ServiceBusClient(connection, { retryOptions: { maxRetries: 0 } });
    try {
      await bus.createSender('bulk').sendMessages({
        ...{ messageId, body: { value: messageId }, contentType: 'application/json' },
        applicationProperties: { type: 'test.echo' },
      });
    } finally {
      await bus.close();
    }
  };
  await send(second, 'sent-to-bulk');
  const ended = await client.ended('sent-to-bulk', 20_000);
  assert.deepEqual(ended.result, { value: 'sent-to-bulk' });
  await assert.rejects(send(first, 'not-there'), /could not be found/);
});

test('a client names the other namespace, or is told to', async () => {
  const [first = '', second = ''] = buses;
  const clients = [new ServiceBusClient(first), new ServiceBusClient(second)] as const;
  const topology = readTopology(pathToFileURL(join(folder, 'topology.json')));
  const [client, b] = clients;
  const request = { options: { priority: 'bulk' } } as const;
  const input = { log: join(folder, 'log'), name: 'called' };
  const blind = connectBus({ client, topology });
  const knowing = connectBus({ client, buses: { b }, topology });
  try {
    const call = (jobs: typeof blind) =>
      jobs.call({ type: 'test.prioritised', input, ...request } as never, { timeout: '30s' });
    await assert.rejects(call(blind), /the bus 'b': give connectBus/);
    assert.deepEqual(await call(knowing), { name: 'called' });
  } finally {
    await blind.close();
    await knowing.close();
    for (const one of clients) await one.close();
  }
});
