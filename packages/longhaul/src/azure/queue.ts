/** Sending, with what is sent at once to one queue gathered into batches; peeking at dead letters. */
import {
  isServiceBusError,
  type ServiceBusClient,
  type ServiceBusMessage,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSender,
} from '@azure/service-bus';
import Long from 'long';
import { MessageRefusedError, QueueNotFoundError } from '../errors.ts';
import type { OutgoingMessage } from '../model/message.ts';
import { laneOf, type Topology } from '../model/topology.ts';
import type { DeadLetter, LetterReader, LyingMessage, Queue } from '../ports.ts';
import { toIncoming } from './delivery.ts';
import { remembered } from './remembered.ts';
import { type Seal, unsealed } from './seal.ts';

interface Waiting {
  message: ServiceBusMessage;
  resolve(): void;
  reject(error: unknown): void;
}

// Two sends under way keep the link busy while the broker answers the first.
const sendsAtOnce = 2;
// More than an app has queues of its own; who asks may name any queue for the reply.
const maxOutlets = 64;

/** Without a seal what it sends is taken as a stranger's. */
export function createQueue(client: ServiceBusClient, seal: Seal = unsealed): Queue {
  // The one that was used last is last.
  const outlets = new Map<string, BatchingSender>();

  function outletOf(queue: string): BatchingSender {
    const outlet = outlets.get(queue) ?? new BatchingSender(client.createSender(queue), queue);
    outlets.delete(queue);
    outlets.set(queue, outlet);
    for (const [name, other] of outlets) {
      if (outlets.size <= maxOutlets) break;
      if (!other.isIdle || other === outlet) continue;
      outlets.delete(name);
      void other.close();
    }
    return outlet;
  }

  return {
    async send(message) {
      const sealed = await seal.close(message);
      await outletOf(message.queue).send(toServiceBus(sealed));
    },
    async peek(queue, limit, of) {
      const receiver = client.createReceiver(queue, of ? { subQueueType: 'deadLetter' } : {});
      try {
        return await peekAll(receiver, limit);
      } finally {
        await receiver.close();
      }
    },
    openDeadLetters: (queue) =>
      readLetters(client.createReceiver(queue, { subQueueType: 'deadLetter' }), (message) =>
        toLetter(queue, message, seal),
      ),
    async peekDeadLetters(queue, after, limit) {
      const receiver = client.createReceiver(queue, { subQueueType: 'deadLetter' });
      try {
        const fromSequenceNumber = Long.fromNumber(after + 1);
        const found = await receiver.peekMessages(limit, { fromSequenceNumber });
        return await Promise.all(found.map((message) => toLetter(queue, message, seal)));
      } finally {
        await receiver.close();
      }
    },
  };
}

const toLetter = async (
  queue: string,
  message: ServiceBusReceivedMessage,
  seal: Seal,
): Promise<DeadLetter> => ({
  sequence: message.sequenceNumber?.toNumber() ?? 0,
  message: await seal.open(toIncoming(queue, message)),
  reason: message.deadLetterReason,
  description: message.deadLetterErrorDescription,
});

// An answer has so many at most, or 256 KB of them.
const peekedAtOnce = 250;

async function peekAll(receiver: ServiceBusReceiver, limit: number): Promise<LyingMessage[]> {
  const all: LyingMessage[] = [];
  for (let from = Long.ONE; all.length < limit; ) {
    const count = Math.min(peekedAtOnce, limit - all.length);
    const found = await receiver.peekMessages(count, {
      fromSequenceNumber: from,
    });
    const last = found.at(-1)?.sequenceNumber;
    if (!last) break;
    all.push(...found.map(toLying));
    from = last.add(1);
  }
  return all;
}

const toLying = ({
  state,
  sessionId,
  enqueuedTimeUtc,
  messageId,
  applicationProperties,
}: ServiceBusReceivedMessage): LyingMessage => {
  const { job } = applicationProperties ?? {};
  return {
    state,
    sessionId,
    enqueuedAt: enqueuedTimeUtc,
    job: typeof job === 'string' ? job : messageId === undefined ? undefined : String(messageId),
  };
};

// So long the broker may take to say that there is no other.
const lastWaitMs = 2_000;

function readLetters(
  receiver: ServiceBusReceiver,
  read: (message: ServiceBusReceivedMessage) => Promise<DeadLetter>,
): LetterReader {
  const held = new Set<ServiceBusReceivedMessage>();
  return {
    async next(limit) {
      const found = await receiver.receiveMessages(limit, { maxWaitTimeInMs: lastWaitMs });
      for (const message of found) held.add(message);
      return Promise.all(
        found.map(async (message) => ({
          ...(await read(message)),
          async remove() {
            await receiver.completeMessage(message);
            held.delete(message);
          },
        })),
      );
    },
    async close() {
      // Their lock may be gone.
      for (const message of held) await receiver.abandonMessage(message).catch(() => undefined);
      await receiver.close();
    },
  };
}

/** Queues in the namespaces that their lanes name. `make` is called for each once it is needed. */
export function queueOf(topology: Topology, make: (bus?: string) => Queue): Queue {
  const at = remembered(make);
  const of = (queue: string) => at(laneOf(topology, queue)?.bus);
  return {
    send: async (message) => of(message.queue).send(message),
    peekDeadLetters: async (queue, ...page) => of(queue).peekDeadLetters(queue, ...page),
    peek: async (queue, ...page) => of(queue).peek(queue, ...page),
    openDeadLetters: (queue) => of(queue).openDeadLetters(queue),
  };
}

function toServiceBus(message: OutgoingMessage): ServiceBusMessage {
  const { queue: _, properties, at, ...known } = message;
  return {
    ...known,
    applicationProperties: properties,
    ...(at ? { scheduledEnqueueTimeUtc: at } : {}),
  };
}

class BatchingSender {
  readonly #sender: ServiceBusSender;
  readonly #queue: string;
  #waiting: Waiting[] = [];
  #sending = 0;

  constructor(sender: ServiceBusSender, queue: string) {
    this.#sender = sender;
    this.#queue = queue;
  }

  get isIdle(): boolean {
    return this.#sending === 0 && this.#waiting.length === 0;
  }

  /** What is left of the link; it may never have been one. */
  async close(): Promise<void> {
    await this.#sender.close().catch(() => undefined);
  }

  send(message: ServiceBusMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      if (this.#sending < sendsAtOnce) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#sending++;
    // One turn of the loop, so that what was submitted together goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#sendNext();
    this.#sending--;
  }

  async #sendNext(): Promise<void> {
    const [only, second] = this.#waiting;
    if (only && !second) {
      this.#waiting = [];
      await this.#each([only]);
      return;
    }
    const waiting = this.#waiting.splice(0);
    try {
      const batch = await this.#sender.createMessageBatch();
      const fitting = waiting.findIndex(({ message }) => !batch.tryAddMessage(message));
      const taken = waiting.splice(0, fitting === -1 ? waiting.length : fitting);
      this.#waiting.unshift(...waiting.splice(0));
      // One that fits no batch is sent by itself, to get its own error.
      if (taken.length === 0) await this.#each(this.#waiting.splice(0, 1));
      else await this.#together(taken, () => this.#sender.sendMessages(batch));
    } catch (error) {
      for (const { reject } of waiting) reject(this.#explain(error));
    }
  }

  async #together(taken: Waiting[], send: () => Promise<void>): Promise<void> {
    try {
      await send();
      for (const { resolve } of taken) resolve();
    } catch {
      // A batch is refused whole: by themselves the good ones pass.
      await this.#each(taken);
    }
  }

  async #each(taken: Waiting[]): Promise<void> {
    await Promise.all(
      taken.map(({ message, resolve, reject }) =>
        this.#sender.sendMessages(message).then(resolve, (error) => reject(this.#explain(error))),
      ),
    );
  }

  #explain(error: unknown): unknown {
    if (!isServiceBusError(error) || error.retryable) return error;
    if (error.code === 'MessagingEntityNotFound') return new QueueNotFoundError(this.#queue, error);
    const isRefused =
      error.code === 'MessageSizeExceeded' || error.message.startsWith('InvalidOperationError');
    return isRefused ? new MessageRefusedError(this.#queue, error) : error;
  }
}
