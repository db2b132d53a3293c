import type { Clock } from '../clock.ts';
import { ServiceBusFault } from './entity/errors.ts';
import { Queue } from './entity/queue.ts';
import { deadLetterSettings, type QueueDescription, toSettings } from './entity/settings.ts';
import { EntityJournal, Journal, type Store } from './store/journal.ts';

export interface Address {
  /** What an SDK asked for, without host and leading slash: it appears in error texts. */
  path: string;
  entity: string;
  isManagement: boolean;
}

/** .NET sends absolute paths, percent-encoded; JavaScript bare names; case does not count. */
export function parseAddress(address: string): Address {
  const path = decodeURIComponent(address.replace(/^(amqps?|sb):\/\/[^/]+/, '').replace(/^\//, ''));
  const management = /\/\$management$/i;
  return {
    path,
    entity: path.replace(management, '').toLowerCase(),
    isManagement: management.test(path),
  };
}

/** The queues of one broker, each with its dead-letter queue. */
export class Namespace {
  readonly #queues = new Map<string, Queue>();
  readonly #journal: Journal;

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(
    descriptions: readonly QueueDescription[],
    store: Store,
    clock: Clock,
    options: { releaseLocks: boolean },
  ): Promise<Namespace> {
    const namespace = new Namespace(new Journal(store));
    for (const description of descriptions) {
      const settings = toSettings(description);
      const deadLetters = await namespace.#restore(
        deadLetterSettings(settings),
        store,
        clock,
        options,
        undefined,
      );
      await namespace.#restore(settings, store, clock, options, deadLetters);
    }
    return namespace;
  }

  async #restore(
    settings: ReturnType<typeof toSettings>,
    store: Store,
    clock: Clock,
    options: { releaseLocks: boolean },
    deadLetters: Queue | undefined,
  ): Promise<Queue> {
    const journal = new EntityJournal(this.#journal, settings.name);
    const queue = new Queue(settings, clock, journal, deadLetters);
    queue.restore(await journal.read(store), options);
    this.#queues.set(settings.name.toLowerCase(), queue);
    return queue;
  }

  /** Throws the fault whose text the SDKs recognise when there is no such queue. */
  queue({ entity, path }: Address, host: string): Queue {
    const queue = this.#queues.get(entity);
    if (queue) return queue;
    throw new ServiceBusFault(
      'amqp:not-found',
      `The messaging entity 'sb://${host}/${path}' could not be found. To know more visit https://aka.ms/sbResourceMgrExceptions. Is it in topology.json?`,
    );
  }

  async close(): Promise<void> {
    for (const queue of this.#queues.values()) queue.close();
    await this.#journal.close();
  }
}
