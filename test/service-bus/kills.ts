/** The broker killed at random moments under load: what was acknowledged holds. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import {
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { brokerProcess } from '../support/broker.ts';
import { until } from '../support/until.ts';

const queue = { lockDuration: 'PT5S', requiresDuplicateDetection: true, maxDeliveryCount: 2000 };
const topology = {
  queues: [
    { name: 'plain', ...queue },
    { name: 'sessions', requiresSession: true, ...queue },
  ],
};
const plainSenders = 8;
const sessionCount = 8;
const retryOptions = { maxRetries: 0, timeoutInMs: 3_000 };

export interface KillResult {
  acknowledged: number;
  /** Completions whose answer a kill swallowed: such a message may come again, or not. */
  inDoubt: number;
  redelivered: number;
}

/** @throws AssertionError when a promise is broken */
export async function killRounds(kills: number, random = Math.random): Promise<KillResult> {
  const broker = await brokerProcess(topology, { durable: true });
  const load = new Load(broker.connectionString);
  try {
    load.connect();
    for (let kill = 0; kill < kills; kill++) {
      // On a slow machine the clients may take their time to come back.
      const before = load.acknowledged;
      await until('some went through', () => load.acknowledged > before + 20, 60_000);
      await pause(random() * 500);
      load.disconnected();
      await broker.kill();
      await broker.restart();
      load.connect();
    }
    return await load.finish();
  } finally {
    await load.close();
    await broker.remove();
  }
}

class Load {
  readonly #connection: string;
  readonly #acknowledged = new Set<string>();
  readonly #completed = new Set<string>();
  readonly #doubtful = new Set<string>();
  readonly #broken: string[] = [];
  readonly #senders: Promise<void>[] = [];
  #client: ServiceBusClient | undefined;
  #stopSending = false;
  #stopped = false;
  #redelivered = 0;
  #epoch = 0;

  constructor(connection: string) {
    this.#connection = connection;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** From here on the clients there are can be told nothing. */
  disconnected(): void {
    this.#epoch++;
  }

  /** With a new client after each restart: the SDK would take its time to notice. */
  connect(): void {
    void this.#client?.close().catch(() => undefined);
    const client = new ServiceBusClient(this.#connection, { retryOptions });
    this.#client = client;
    void this.#receivePlain(client, this.#epoch);
    for (let n = 0; n < 4; n++) void this.#receiveSessions(client, this.#epoch);
    if (this.#senders.length > 0) return;
    for (let n = 0; n < plainSenders; n++) this.#senders.push(this.#send('plain', `p${n}`));
    for (let n = 0; n < sessionCount; n++)
      this.#senders.push(this.#send('sessions', `s${n}`, `s${n}`));
  }

  async finish(): Promise<KillResult> {
    this.#stopSending = true;
    await Promise.all(this.#senders);
    const open = () =>
      [...this.#acknowledged].filter((id) => !this.#completed.has(id) && !this.#doubtful.has(id));
    await until('everything acknowledged is delivered', () => open().length === 0, 60_000).catch(
      () => assert.deepEqual(open().slice(0, 5), [], 'acknowledged and never delivered'),
    );
    this.#stopped = true;
    assert.deepEqual(this.#broken, []);
    return {
      acknowledged: this.#acknowledged.size,
      inDoubt: this.#doubtful.size,
      redelivered: this.#redelivered,
    };
  }

  async close(): Promise<void> {
    [this.#stopped, this.#stopSending] = [true, true];
    await Promise.race([this.#client?.close(), pause(2_000)]);
  }

  /** One after the other, each until it is acknowledged: under the same id, so that none is there twice. */
  async #send(to: string, prefix: string, sessionId?: string): Promise<void> {
    let sender = this.#client?.createSender(to);
    let of = this.#client;
    const send = (n: number) =>
      sender?.sendMessages({
        // Some so large that the store has them in files of their own.
        body: { n, filler: 'x'.repeat(n % 3 === 0 ? 12_000 : 0) },
        messageId: `${prefix}-${n}`,
        ...(sessionId ? { sessionId } : {}),
      });
    for (let n = 0; !this.#stopSending; n++) {
      const messageId = `${prefix}-${n}`;
      // What was acknowledged before a kill is known as a duplicate after it.
      let repeats = false;
      for (;;) {
        if (of !== this.#client) {
          [of, sender] = [this.#client, this.#client?.createSender(to)];
          repeats = n > 0;
        }
        try {
          if (repeats) await send(n - 1);
          await send(n);
          break;
        } catch {
          if (this.#stopped) return;
          await pause(30);
        }
      }
      this.#acknowledged.add(messageId);
    }
  }

  async #receivePlain(client: ServiceBusClient, epoch: number): Promise<void> {
    const receiver = client.createReceiver('plain', { maxAutoLockRenewalDurationInMs: 0 });
    receiver.subscribe(
      {
        processMessage: (message) => this.#take(receiver, message, epoch),
        processError: async () => undefined,
      },
      { autoCompleteMessages: false, maxConcurrentCalls: 16 },
    );
  }

  async #receiveSessions(client: ServiceBusClient, epoch: number): Promise<void> {
    while (client === this.#client && !this.#stopped) {
      try {
        const receiver = await client.acceptNextSession('sessions', {
          maxAutoLockRenewalDurationInMs: 0,
        });
        const messages = await receiver.receiveMessages(5, { maxWaitTimeInMs: 500 });
        for (const message of messages) {
          if (epoch === this.#epoch) this.#inOrder(receiver.sessionId, Number(message.body.n));
          await this.#take(receiver, message, epoch);
        }
        await receiver.close();
      } catch {
        await pause(50);
      }
    }
  }

  /** What came before in the session is done. */
  #inOrder(session: string, n: number): void {
    for (let before = Math.max(0, n - 50); before < n; before++) {
      const id = `${session}-${before}`;
      if (!this.#completed.has(id) && !this.#doubtful.has(id))
        this.#broken.push(`${session}-${n} came before ${id}`);
    }
  }

  async #take(
    receiver: ServiceBusReceiver,
    message: ServiceBusReceivedMessage,
    epoch: number,
  ): Promise<void> {
    // Of a receiver that lost its broker, which works off what it has got.
    if (epoch !== this.#epoch) return;
    const id = String(message.messageId);
    if (this.#completed.has(id)) this.#broken.push(`${id} was completed and came again`);
    if (message.deliveryCount) this.#redelivered++;
    // From here on the broker may have done it, whether or not its answer comes through.
    this.#doubtful.add(id);
    try {
      await receiver.completeMessage(message);
    } catch {
      return;
    }
    // The SDK's session receivers call it done when their connection is gone: seen in the broker's trace.
    if (epoch !== this.#epoch) return;
    this.#doubtful.delete(id);
    this.#completed.add(id);
  }
}
