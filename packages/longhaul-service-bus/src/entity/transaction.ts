/** Several operations that are done together or not at all; until then nobody sees anything of them. */
import type { Content } from '../amqp/message.ts';
import type { Settlement } from './consumer.ts';
import { lockLost, ServiceBusFault } from './errors.ts';
import type { Queue } from './queue.ts';

// The service's own (Learn: quotas, messages per transaction).
const mostActions = 100;

export class Transaction {
  readonly #sends = new Map<Queue, Content[]>();
  readonly #settlements = new Map<string, { queue: Queue; settlement: Settlement }>();
  #actions = 0;

  /** @throws ServiceBusFault */
  send(queue: Queue, contents: readonly Content[]): void {
    this.#count(contents.length);
    const all = [...(this.#sends.get(queue) ?? []), ...contents];
    queue.checkSend(all);
    this.#sends.set(queue, all);
  }

  /** @throws ServiceBusFault when the lock is over, or the message is settled in it already */
  settle(queue: Queue, token: string, settlement: Settlement): void {
    this.#count(1);
    if (this.#settlements.has(token)) throw lockLost();
    checkSettle(queue, token, settlement);
    this.#settlements.set(token, { queue, settlement });
  }

  /** All is checked before anything is done; what is done is of one group of the journal. */
  commit(): void {
    for (const [queue, contents] of this.#sends) queue.checkSend(contents);
    for (const [token, { queue, settlement }] of this.#settlements)
      checkSettle(queue, token, settlement);
    for (const [token, { queue, settlement }] of this.#settlements) queue.settle(token, settlement);
    for (const [queue, contents] of this.#sends) queue.enqueue(contents);
  }

  /** Resolves when all that it did survives the process. */
  async kept(): Promise<void> {
    const queues = [...this.#sends.keys(), ...[...this.#settlements.values()].map((s) => s.queue)];
    await Promise.all(queues.map((queue) => queue.kept()));
  }

  #count(more: number): void {
    this.#actions += more;
    if (this.#actions > mostActions)
      throw new ServiceBusFault(
        'amqp:not-allowed',
        `A transaction takes at most ${mostActions} messages.`,
      );
  }
}

function checkSettle(queue: Queue, token: string, { kind }: Settlement): void {
  queue.lockedBy(token);
  if (kind === 'deadLetter' && !queue.deadLetters)
    throw new ServiceBusFault('amqp:not-allowed', 'A dead letter cannot be dead-lettered.');
}
