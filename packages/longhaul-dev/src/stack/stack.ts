/** The whole stack on one machine: Azurite, Service Bus, the Functions host with its worker, each its own process. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type StartedChild, startChild } from 'longhaul-service-bus/internal/child';
import { type AzuriteOptions, azuriteConnectionString, startAzurite } from '../azurite/azurite.ts';

export interface StackOptions {
  /** The project's folder: host.json, topology.json, package.json. */
  root: string;
  data: string;
  host: string;
  ports: { http: number; serviceBus: number; blob: number; queue: number; table: number };
  /** More app settings. */
  settings?: Record<string, string>;
  /** Another entry point than package.json's `main`. */
  main?: string;
  /** Other queues than those of `root`. */
  topology?: string;
}

export interface Stack {
  url: string;
  serviceBus: string;
  storage: string;
  functions: string[];
  /** One part after the other, so that what runs can drain into what is still there. */
  stop(): Promise<void>;
  /** Resolves with a part's name if it ends by itself. */
  ended: Promise<string>;
  parts: {
    azurite: StartedChild<void>;
    serviceBus: StartedChild<unknown>;
    host: StartedChild<unknown>;
  };
}

// The setting by which each port is changed, named when it is in use.
export const portSettings = {
  http: 'PORT',
  serviceBus: 'SERVICE_BUS_PORT',
  blob: 'AZURITE_BLOB_PORT',
  queue: 'AZURITE_QUEUE_PORT',
  table: 'AZURITE_TABLE_PORT',
} as const;

export class PortInUseError extends Error {}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { host, ports, data } = options;
  await checkPorts(host, ports);
  await mkdir(data, { recursive: true });
  const azuriteOptions: AzuriteOptions = { host, ports, data: join(data, 'azurite') };
  const storage = azuriteConnectionString(azuriteOptions);
  const started: StartedChild<unknown>[] = [];
  const keep = <T>(child: StartedChild<T>): StartedChild<T> => {
    started.push(child);
    return child;
  };
  try {
    const [azurite, serviceBus] = await Promise.all([
      startAzurite(azuriteOptions).then(keep),
      startServiceBus(options).then(keep),
    ]);
    const functions = keep(
      await startFunctions(options, serviceBus.ready.connectionString, storage),
    );
    return {
      url: `http://${host}:${functions.ready.port}`,
      serviceBus: serviceBus.ready.connectionString,
      storage,
      functions: functions.ready.functions,
      parts: { azurite, serviceBus, host: functions },
      ended: firstToEnd({
        Azurite: azurite,
        'Service Bus': serviceBus,
        'Functions host': functions,
      }),
      async stop() {
        for (const child of [functions, serviceBus, azurite]) await child.stop();
      },
    };
  } catch (error) {
    await Promise.all(started.map((child) => child.stop()));
    throw error;
  }
}

export function startServiceBus({ root, data, host, ports, topology }: StackOptions) {
  return startChild<{ port: number; connectionString: string }>(
    'Service Bus',
    new URL(import.meta.resolve('longhaul-service-bus/internal/process')),
    [
      '--topology',
      topology ?? join(root, 'topology.json'),
      '--data',
      join(data, 'service-bus'),
      '--host',
      host,
      '--port',
      String(ports.serviceBus),
      // All parts start together: no receiver of before can still hold a lock.
      '--release-locks',
    ],
  );
}

// Who is called back in development lives on this machine, and no secret is one there.
const onOneMachine = {
  CALLBACK_SECRET: `whsec_${Buffer.from('longhaul, for development only!!').toString('base64')}`,
  OUTBOUND_ALLOW: 'localhost,127.0.0.0/8,::1/128',
};

export function startFunctions(
  { root, host, ports, settings, main, topology = join(root, 'topology.json') }: StackOptions,
  serviceBus: string,
  storage: string,
) {
  return startChild<{ port: number; functions: string[]; worker: number }>(
    'Functions host',
    new URL('../functions-host/host/process.js', import.meta.url),
    [
      '--root',
      root,
      '--host',
      host,
      '--port',
      String(ports.http),
      ...(main ? ['--main', main] : []),
    ],
    {
      env: {
        ...onOneMachine,
        ...process.env,
        ...Object.fromEntries(busesOf(topology).map((bus) => [connectionOf(bus), serviceBus])),
        AzureWebJobsStorage: storage,
        ...settings,
      },
    },
  );
}

/** One broker stands for all the namespaces that lanes name. */
function busesOf(topology: string): (string | undefined)[] {
  const { lanes } = JSON.parse(readFileSync(topology, 'utf8')) as { lanes: { bus?: string }[] };
  return [undefined, ...lanes.map(({ bus }) => bus)];
}

const connectionOf = (bus: string | undefined) => (bus ? `ServiceBus_${bus}` : 'ServiceBus');

function firstToEnd(parts: Record<string, StartedChild<unknown>>): Promise<string> {
  return Promise.race(
    Object.entries(parts).map(
      ([name, { process }]) =>
        new Promise<string>((resolve) => process.once('exit', () => resolve(name))),
    ),
  );
}

// A stack that was killed a moment ago may still be letting go of its ports.
const portPatienceMs = 5_000;

async function checkPorts(host: string, ports: StackOptions['ports']): Promise<void> {
  const until = Date.now() + portPatienceMs;
  for (const [part, setting] of Object.entries(portSettings)) {
    const port = ports[part as keyof typeof ports];
    while (!(await isFree(host, port))) {
      if (Date.now() > until)
        throw new PortInUseError(
          `Port ${port} is in use. Stop what listens there, or choose another: ${setting}=${port + 1000} npm start`,
        );
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
