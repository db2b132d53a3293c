/** One queue and the function it triggers, in the semantics of the host's Service Bus extension. */
import { setMaxListeners } from 'node:events';
import type {
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
  ServiceBusSessionReceiver,
} from '@azure/service-bus';
import { reportFailure } from '../log.ts';
import { within } from '../within.ts';
import type { LoadedFunction, RpcTypedData } from '../worker/core-module.ts';
import { type Held, keepLocked, type Settle, settle } from './held-message.ts';
import type { Listener, ListenerContext } from './listener.ts';
import type { Outage } from './outage.ts';
import { toBody, toModelBindingData, toTriggerMetadata } from './service-bus-message.ts';
import type { Settlement } from './settlement.ts';

export interface QueueTrigger {
  target: LoadedFunction;
  binding: string;
  queueName: string;
  connection: string;
  isSessionsEnabled: boolean;
  sdkBinding: boolean;
  many: boolean;
  autoComplete: boolean;
}

interface Queueing extends ListenerContext {
  client: ServiceBusClient;
  /** Another connection, for what goes by a lock's token. */
  tokens: ServiceBusClient;
  outage: Outage;
  settlement: Settlement;
}

type Options = ListenerContext['hostJson']['extensions']['serviceBus'];

// A broker that stood still for a while leaves promises of the SDK that never settle (7.9.5): whoever
// waited for one would take no session any more. It gives up by itself after a minute.
const acceptWithinMs = 75_000;
const lateMs = 15_000;

export class QueueListener implements Listener {
  readonly #trigger: QueueTrigger;
  readonly #context: Queueing;
  readonly #options: Options;
  readonly #byToken: ServiceBusReceiver;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #stopReceiving: () => Promise<void> = async () => undefined;
  #quiet: Promise<void> | undefined;

  constructor(trigger: QueueTrigger, context: Queueing) {
    this.#trigger = trigger;
    this.#context = context;
    this.#options = context.hostJson.extensions.serviceBus;
    this.#byToken = context.tokens.createReceiver(trigger.queueName);
    // Each session that is waited for listens, and so does each receive.
    setMaxListeners(0, this.#stopping.signal);
  }

  start(): void {
    if (this.#trigger.isSessionsEnabled) this.#startSessions();
    else if (this.#trigger.many) this.#startBatches();
    else this.#startSingles();
  }

  quiesce(): Promise<void> {
    if (!this.#quiet) {
      this.#stopping.abort();
      this.#quiet = this.#stopReceiving().catch(() => undefined);
    }
    return this.#quiet;
  }

  async stop(): Promise<void> {
    await this.quiesce();
    await Promise.allSettled(this.#running);
  }

  #receiver(): ServiceBusReceiver {
    return this.#context.client.createReceiver(this.#trigger.queueName, {
      skipParsingBodyAsJson: true,
      // Of singles `keepLocked` renews them; of batches nobody does, as in the extension.
      maxAutoLockRenewalDurationInMs: 0,
    });
  }

  #startSingles(): void {
    const receiver = this.#receiver();
    const subscription = receiver.subscribe(
      {
        processMessage: (message) => {
          this.#context.outage.reached();
          const release = keepLocked(
            { message, byToken: this.#byToken },
            {
              mostMs: this.#options.maxAutoLockRenewalDuration,
              onError: (error) => this.#report(error),
            },
          );
          return this.#track(this.#process(receiver, [message]).finally(release));
        },
        processError: async ({ error }) => {
          if (!this.#stopping.signal.aborted) this.#report(error);
        },
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

  /** One call at a time in a session; of batches one session at a time, as the extension (5.17) has it. */
  #startSessions(): void {
    const atOnce = this.#trigger.many ? 1 : this.#options.maxConcurrentSessions;
    for (let n = 0; n < atOnce; n++)
      void this.#loop(async () => {
        const receiver = await this.#acceptSession();
        if (receiver) await this.#serveSession(receiver);
      });
  }

  /** The next session, or undefined once the host stops: the SDK does not always heed its signal. */
  async #acceptSession(): Promise<ServiceBusSessionReceiver | undefined> {
    const { signal } = this.#stopping;
    const accepted = this.#context.client.acceptNextSession(this.#trigger.queueName, {
      skipParsingBodyAsJson: true,
      // Nobody renews the lock of a session whose messages come in batches.
      maxAutoLockRenewalDurationInMs: this.#trigger.many
        ? 0
        : this.#options.maxAutoLockRenewalDuration,
      abortSignal: signal,
    });
    let onAbort = () => {};
    const stopped = new Promise<undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const receiver = await within(acceptWithinMs, Promise.race([accepted, stopped])).finally(() =>
      signal.removeEventListener('abort', onAbort),
    );
    if (!receiver)
      accepted.then(
        (late) => late.close(),
        () => undefined,
      );
    return receiver;
  }

  /** In order, until the session is idle, released or lost. */
  async #serveSession(receiver: ServiceBusSessionReceiver): Promise<void> {
    this.#context.outage.reached();
    try {
      while (!this.#stopping.signal.aborted && !receiver.isClosed) {
        const count = this.#trigger.many ? this.#options.maxMessageBatchSize : 1;
        const received = receiver.receiveMessages(count, {
          maxWaitTimeInMs: this.#options.sessionIdleTimeout,
          abortSignal: this.#stopping.signal,
        });
        // What comes after all is locked for as long as a lock lasts.
        const messages = await within(this.#options.sessionIdleTimeout + lateMs, received);
        if (!messages?.length) break;
        const actions = this.#context.settlement.holdSession(receiver);
        await this.#process(receiver, messages).finally(() =>
          this.#context.settlement.letGoSession(receiver.sessionId),
        );
        if (actions.shouldRelease) break;
      }
    } finally {
      await within(lateMs, receiver.close());
    }
  }

  /** Repeats until stopped; a failure is followed by a short pause. */
  #loop(step: () => Promise<void>): Promise<void> {
    return this.#track(
      (async () => {
        while (!this.#stopping.signal.aborted) {
          const began = Date.now();
          try {
            await step();
          } catch (error) {
            if (this.#stopping.signal.aborted) return;
            const { code } = error as { code?: string };
            // No session within the wait, or this one was lost: nothing to tell anyone.
            if (code === 'ServiceTimeout') this.#context.outage.reached();
            if (code === 'ServiceTimeout' || code === 'SessionLockLost') continue;
            this.#report(error as Error, began);
            await new Promise((resolve) => setTimeout(resolve, 500));
          }
        }
      })(),
    );
  }

  #report(error: Error, began?: number): void {
    if (this.#context.outage.explains(error, began)) return;
    this.#context.log('warning', `${this.#trigger.queueName}: ${error.message}`);
  }

  #track(work: Promise<void>): Promise<void> {
    this.#running.add(work);
    return work.finally(() => this.#running.delete(work));
  }

  async #process(receiver: ServiceBusReceiver, messages: ServiceBusReceivedMessage[]) {
    const { target, binding, sdkBinding, many, autoComplete } = this.#trigger;
    const [first] = messages;
    if (!first) return;
    const byToken = this.#byToken;
    const held = messages.map((message) => ({ message, receiver, byToken }));
    for (const one of held) this.#context.settlement.hold(one);
    const data = many ? toBatch(messages, sdkBinding) : toOne(first, sdkBinding);
    try {
      await this.#context.invoke(target, {
        inputData: [{ name: binding, data }],
        triggerMetadata: many ? {} : toTriggerMetadata(first),
      });
      if (autoComplete) await this.#each(held, (by, message) => by.completeMessage(message));
    } catch (error) {
      reportFailure(this.#context.log, target.metadata.name, error);
      await this.#each(held, (by, message) => by.abandonMessage(message));
    } finally {
      for (const { message } of held) this.#context.settlement.letGo(message);
    }
  }

  /** Settles what the function left unsettled. */
  async #each(held: readonly Held[], act: Settle): Promise<void> {
    // What is given back to a link that still takes would lie locked on it.
    await this.#quiet;
    for (const one of held) {
      if (this.#context.settlement.letGo(one.message)) continue;
      await settle(one, act).catch((error: Error) => this.#report(error));
    }
  }
}

function toOne(message: ServiceBusReceivedMessage, sdkBinding: boolean): RpcTypedData {
  return sdkBinding ? { modelBindingData: toModelBindingData(message) } : toBody(message);
}

function toBatch(messages: ServiceBusReceivedMessage[], sdkBinding: boolean): RpcTypedData {
  return sdkBinding
    ? { collectionModelBindingData: { modelBindingData: messages.map(toModelBindingData) } }
    : { json: JSON.stringify(messages.map(({ body }) => bodyValue(body))) };
}

function bodyValue(body: unknown): unknown {
  if (!Buffer.isBuffer(body)) return body;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return body.toString('utf8');
  }
}
