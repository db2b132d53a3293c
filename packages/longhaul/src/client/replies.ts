/** The reply session of a client: replies as they come, on one link that is made again when it breaks. */
import { setTimeout as pause } from 'node:timers/promises';
import {
  isServiceBusError,
  type ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusSessionReceiver,
} from '@azure/service-bus';

const atOnce = 500;
const reconnectMs = 300;
const closeMs = 2_000;
// Longer than the SDK's five minutes, after which it would let the session go.
const renewForMs = 24 * 3_600_000;
// Trying again would be told the same.
const forGood = ['MessagingEntityNotFound', 'MessagingEntityDisabled', 'UnauthorizedAccess'];

export interface Listener {
  take(reply: ServiceBusReceivedMessage): Promise<void>;
  /** There are no replies to be had. */
  failed(error: unknown): void;
}

export class Replies {
  readonly #client: ServiceBusClient;
  readonly #queue: string;
  readonly #session: string;
  readonly #listener: Listener;
  readonly #closing = new AbortController();
  readonly #settling = new Set<Promise<void>>();
  #listening: Promise<void> | undefined;
  #wasThere = false;
  /** Why none come at present. */
  trouble: unknown;

  constructor(client: ServiceBusClient, queue: string, session: string, listener: Listener) {
    this.#client = client;
    this.#queue = queue;
    this.#session = session;
    this.#listener = listener;
  }

  /** Listens from now on, if it does not yet. */
  listen(): void {
    this.#listening ??= this.#listen();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#listening;
  }

  async #listen(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const options = { abortSignal: signal, maxAutoLockRenewalDurationInMs: renewForMs };
        const receiver = await this.#client.acceptSession(this.#queue, this.#session, options);
        this.trouble = undefined;
        this.#wasThere = true;
        await this.#untilBroken(receiver).finally(() => receiver.close().catch(() => undefined));
      } catch (error) {
        this.trouble = error;
        if (this.#isForGood(error)) {
          this.#listening = undefined;
          this.#listener.failed(error);
          return;
        }
        // Lost, or the broker is away: what was replied meanwhile lies in the queue.
        await pause(reconnectMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #isForGood(error: unknown): boolean {
    if (!isServiceBusError(error)) return false;
    // The SDK may say this of a queue that is not there. Nobody else has this session, so it is true
    // only of a link of our own before.
    const isNowhere = error.code === 'SessionCannotBeLocked' && !this.#wasThere;
    return isNowhere || forGood.includes(error.code);
  }

  #untilBroken(receiver: ServiceBusSessionReceiver): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return resolve();
      signal.addEventListener('abort', () => void this.#settled().then(resolve), { once: true });
      receiver.subscribe(
        {
          processMessage: (reply) => this.#settle(receiver, reply),
          processError: async ({ error }) => reject(error),
        },
        { maxConcurrentCalls: atOnce, autoCompleteMessages: false },
      );
    });
  }

  #settle(receiver: ServiceBusSessionReceiver, reply: ServiceBusReceivedMessage): Promise<void> {
    const settling = this.#listener.take(reply).then(() => receiver.completeMessage(reply));
    this.#settling.add(settling);
    const isOver = () => void this.#settling.delete(settling);
    settling.then(isOver, isOver);
    return settling;
  }

  /** Who has its answer may close at once: what the SDK still settles then would hold the process for a minute. */
  async #settled(): Promise<void> {
    const late = pause(closeMs, undefined, { ref: false });
    await Promise.race([Promise.allSettled(this.#settling), late]);
  }
}
