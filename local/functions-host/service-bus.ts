/** Service Bus queue triggers, in the semantics of the host's Service Bus extension. */
import { setMaxListeners } from 'node:events';
import { DefaultAzureCredential } from '@azure/identity';
import {
  type ProcessErrorArgs,
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSessionReceiver,
} from '@azure/service-bus';
import { type AppSettings, resolveExpressions } from './app-settings.ts';
import type { RegisteredFunction } from './core-module.ts';
import { describe } from './http.ts';
import { triggerOf } from './invoke.ts';
import type { Listener, ListenerContext } from './listener.ts';
import { toBody, toModelBindingData, toTriggerMetadata } from './service-bus-message.ts';
import type { Settlement } from './settlement.ts';

interface Trigger {
  target: RegisteredFunction;
  binding: string;
  queueName: string;
  connection: string;
  isSessionsEnabled: boolean;
  sdkBinding: boolean;
  many: boolean;
  autoComplete: boolean;
}

type Options = ListenerContext['hostJson']['extensions']['serviceBus'];

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

function readTrigger(target: RegisteredFunction, context: ListenerContext): Trigger {
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

export async function listenServiceBus(
  functions: readonly RegisteredFunction[],
  context: ListenerContext,
  settlement: Settlement,
): Promise<Listener> {
  const clients = new Map<string, ServiceBusClient>();
  const listeners = functions.map((target) => {
    const trigger = readTrigger(target, context);
    let client = clients.get(trigger.connection);
    if (!client) {
      client = connectServiceBus(trigger.connection, context.settings);
      clients.set(trigger.connection, client);
    }
    const listener = new QueueListener(trigger, client, context, settlement);
    listener.start();
    return listener;
  });
  return {
    async stop() {
      await Promise.all(listeners.map((listener) => listener.stop()));
      await Promise.all([...clients.values()].map((client) => client.close()));
    },
  };
}

class QueueListener implements Listener {
  readonly #trigger: Trigger;
  readonly #client: ServiceBusClient;
  readonly #context: ListenerContext;
  readonly #settlement: Settlement;
  readonly #options: Options;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #stopReceiving: () => Promise<void> = async () => undefined;

  constructor(
    trigger: Trigger,
    client: ServiceBusClient,
    context: ListenerContext,
    settlement: Settlement,
  ) {
    this.#trigger = trigger;
    this.#client = client;
    this.#context = context;
    this.#settlement = settlement;
    this.#options = context.hostJson.extensions.serviceBus;
    // Each session that is waited for listens, and so does each receive.
    setMaxListeners(0, this.#stopping.signal);
  }

  start(): void {
    if (this.#trigger.isSessionsEnabled) this.#startSessions();
    else if (this.#trigger.many) this.#startBatches();
    else this.#startSingles();
  }

  async stop(): Promise<void> {
    const receiving = this.#stopReceiving();
    this.#stopping.abort();
    await Promise.allSettled(this.#running);
    await receiving;
  }

  #receiver(): ServiceBusReceiver {
    return this.#client.createReceiver(this.#trigger.queueName, {
      skipParsingBodyAsJson: true,
      maxAutoLockRenewalDurationInMs: this.#options.maxAutoLockRenewalDuration,
    });
  }

  #startSingles(): void {
    const receiver = this.#receiver();
    const subscription = receiver.subscribe(
      {
        processMessage: (message) => this.#track(this.#process(receiver, [message])),
        processError: async (args) => this.#report(args),
      },
      { maxConcurrentCalls: this.#options.maxConcurrentCalls, autoCompleteMessages: false },
    );
    this.#stopReceiving = () => subscription.close();
  }

  #startBatches(): void {
    const receiver = this.#receiver();
    void this.#loop(async () => {
      const messages = await receiver.receiveMessages(this.#options.maxMessageBatchSize, {
        maxWaitTimeInMs: 60_000,
        abortSignal: this.#stopping.signal,
      });
      if (messages.length > 0) await this.#process(receiver, messages);
    });
  }

  #startSessions(): void {
    for (let n = 0; n < this.#options.maxConcurrentSessions; n++)
      void this.#loop(async () => {
        const receiver = await this.#acceptSession();
        if (receiver) await this.#serveSession(receiver);
      });
  }

  /** The next session, or undefined once the host stops: the SDK does not always heed its signal. */
  async #acceptSession(): Promise<ServiceBusSessionReceiver | undefined> {
    const { signal } = this.#stopping;
    const accepted = this.#client.acceptNextSession(this.#trigger.queueName, {
      skipParsingBodyAsJson: true,
      maxAutoLockRenewalDurationInMs: this.#options.maxAutoLockRenewalDuration,
      abortSignal: signal,
    });
    let onAbort = () => {};
    const stopped = new Promise<undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const receiver = await Promise.race([accepted, stopped]).finally(() =>
      signal.removeEventListener('abort', onAbort),
    );
    if (!receiver)
      accepted.then(
        (late) => late.close(),
        () => undefined,
      );
    return receiver;
  }

  /** One call at a time, in order, until the session is idle, released or lost. */
  async #serveSession(receiver: ServiceBusSessionReceiver): Promise<void> {
    this.#settlement.holdSession(receiver);
    try {
      while (!this.#stopping.signal.aborted && !receiver.isClosed) {
        const count = this.#trigger.many ? this.#options.maxMessageBatchSize : 1;
        const messages = await receiver.receiveMessages(count, {
          maxWaitTimeInMs: this.#options.sessionIdleTimeout,
          abortSignal: this.#stopping.signal,
        });
        if (messages.length === 0) break;
        await this.#process(receiver, messages);
        if (this.#settlement.wasReleased(receiver.sessionId)) break;
      }
    } finally {
      this.#settlement.letGoSession(receiver.sessionId);
      await receiver.close();
    }
  }

  /** Repeats until stopped; a failure is logged and followed by a short pause. */
  #loop(step: () => Promise<void>): Promise<void> {
    return this.#track(
      (async () => {
        while (!this.#stopping.signal.aborted) {
          try {
            await step();
          } catch (error) {
            if (this.#stopping.signal.aborted) return;
            const { code } = error as { code?: string };
            // No session within the wait, or this one was lost: nothing to tell anyone.
            if (code === 'ServiceTimeout' || code === 'SessionLockLost') continue;
            this.#context.log('warning', `${this.#trigger.queueName}: ${describe(error)}`);
            await new Promise((resolve) => setTimeout(resolve, 500));
          }
        }
      })(),
    );
  }

  #track(work: Promise<void>): Promise<void> {
    this.#running.add(work);
    return work.finally(() => this.#running.delete(work));
  }

  #report({ error, entityPath }: ProcessErrorArgs): void {
    if (!this.#stopping.signal.aborted)
      this.#context.log('warning', `${entityPath}: ${error.message}`);
  }

  async #process(receiver: ServiceBusReceiver, messages: ServiceBusReceivedMessage[]) {
    const { target, binding, sdkBinding, many, autoComplete } = this.#trigger;
    const [first] = messages;
    if (!first) return;
    const tokens = messages.map((message) => this.#settlement.hold(receiver, message));
    const one = sdkBinding ? { modelBindingData: toModelBindingData(first) } : toBody(first);
    const all = sdkBinding
      ? { collectionModelBindingData: { modelBindingData: messages.map(toModelBindingData) } }
      : { json: JSON.stringify(messages.map(({ body }) => bodyValue(body))) };
    try {
      await this.#context.invoke(target, {
        inputData: [{ name: binding, data: many ? all : one }],
        triggerMetadata: many ? {} : toTriggerMetadata(first),
      });
      if (autoComplete) await this.#each(tokens, messages, (m) => receiver.completeMessage(m));
    } catch (error) {
      this.#context.log('error', `${target.metadata.name}: ${describe(error)}`);
      await this.#each(tokens, messages, (m) => receiver.abandonMessage(m));
    } finally {
      for (const token of tokens) this.#settlement.letGo(token);
    }
  }

  /** Settles what the function left unsettled. */
  async #each(
    tokens: string[],
    messages: ServiceBusReceivedMessage[],
    settle: (message: ServiceBusReceivedMessage) => Promise<void>,
  ): Promise<void> {
    for (const [i, message] of messages.entries()) {
      if (this.#settlement.letGo(tokens[i] ?? '')) continue;
      await settle(message).catch((error: Error) =>
        this.#context.log('warning', `${this.#trigger.queueName}: ${error.message}`),
      );
    }
  }
}

function bodyValue(body: unknown): unknown {
  if (!Buffer.isBuffer(body)) return body;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return body.toString('utf8');
  }
}
