/** Service Bus queue triggers, in the semantics of the host's Service Bus extension. */
import { DefaultAzureCredential } from '@azure/identity';
import { ServiceBusClient } from '@azure/service-bus';
import type { LoadedFunction } from '../worker/core-module.ts';
import { type AppSettings, resolveExpressions } from './app-settings.ts';
import type { Listener, ListenerContext } from './listener.ts';
import { Outage } from './outage.ts';
import { QueueListener, type QueueTrigger } from './queue-listener.ts';
import type { Settlement } from './settlement.ts';
import { triggerOf } from './trigger.ts';

/** A connection is a setting with a connection string, or NAME__fullyQualifiedNamespace. */
export function connectServiceBus(name: string, settings: AppSettings): ServiceBusClient {
  // Few retries, quickly: a broker on this machine is back in a moment or not at all.
  const options = { retryOptions: { maxRetries: 3, retryDelayInMs: 250, maxRetryDelayInMs: 2000 } };
  const connectionString = settings[name];
  if (connectionString) return new ServiceBusClient(connectionString, options);
  const namespace = settings[`${name}__fullyQualifiedNamespace`];
  if (namespace) return new ServiceBusClient(namespace, new DefaultAzureCredential(), options);
  throw new Error(
    `The Service Bus connection '${name}' is not configured: set ${name} or ${name}__fullyQualifiedNamespace.`,
  );
}

function readTrigger(target: LoadedFunction, context: ListenerContext): QueueTrigger {
  const { name, binding } = triggerOf(target);
  const option = (key: string) => resolveExpressions(binding[key], context.settings);
  const auto = binding['autoCompleteMessages'] as boolean | undefined;
  return {
    target,
    binding: name,
    queueName: String(option('queueName')),
    connection: String(option('connection')),
    isSessionsEnabled: binding['isSessionsEnabled'] === true,
    sdkBinding: binding['sdkBinding'] === true,
    many: binding['cardinality'] === 'many',
    autoComplete: auto ?? context.hostJson.extensions.serviceBus.autoCompleteMessages,
  };
}

interface Connected {
  client: ServiceBusClient;
  tokens: ServiceBusClient;
  outage: Outage;
}

export async function listenServiceBus(
  functions: readonly LoadedFunction[],
  context: ListenerContext,
  settlement: Settlement,
): Promise<Listener> {
  const connections = new Map<string, Connected>();
  const listeners = functions.map((target) => {
    const trigger = readTrigger(target, context);
    const { connection } = trigger;
    const known = connections.get(connection) ?? {
      client: connectServiceBus(connection, context.settings),
      tokens: connectServiceBus(connection, context.settings),
      outage: new Outage(connection, context.log),
    };
    connections.set(connection, known);
    const listener = new QueueListener(trigger, { ...context, ...known, settlement });
    listener.start();
    return listener;
  });
  return {
    quiesce: () => Promise.all(listeners.map((listener) => listener.quiesce())),
    async stop() {
      await Promise.all(listeners.map((listener) => listener.stop()));
      const clients = [...connections.values()].flatMap(({ client, tokens }) => [client, tokens]);
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}
