/** The queues, topics and subscriptions of one broker: found, made, changed, removed, kept. */
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import { type Address, parseAddress } from './address.ts';
import { entityDisabled, entityExists, ServiceBusFault } from './entity/errors.ts';
import { forwardTo } from './entity/forward.ts';
import { Queue } from './entity/queue.ts';
import { defaultRule, Rules } from './entity/rules.ts';
import {
  type Described,
  deadLetterSettings,
  type QueueSettings,
  queueDescription,
  subscriptionDescription,
  type Topology,
  topicDescription,
  toSettings,
} from './entity/settings.ts';
import { fanOut } from './entity/topic.ts';
import { EntityJournal, Journal, type Store } from './store/journal.ts';

export type Kind = 'queue' | 'topic' | 'subscription';

export interface Entity {
  kind: Kind;
  /** As it was named; `topic/Subscriptions/name` for a subscription. */
  path: string;
  /** With all defaults, in ARM's names. */
  description: Partial<Described> & { name: string };
  queue: Queue;
  /** What could not be forwarded; for topics it stays empty. */
  transfer: Queue;
  /** Of a topic. */
  subscriptions: Set<Entity>;
  /** Of a subscription. */
  rules: Rules | undefined;
  topic: Entity | undefined;
  createdAt: number;
  updatedAt: number;
}

/** What the store keeps of an entity that the administration made, changed or removed. */
interface KeptEntity {
  kind: Kind;
  path: string;
  removed?: true;
  description?: Entity['description'];
  rules?: Rules['all'];
  createdAt?: number;
  updatedAt?: number;
}

export interface NamespaceOptions {
  clock: Clock;
  /** True when no client outlived the last broker: its locks end at once. */
  releaseLocks: boolean;
}

const schemas = {
  queue: queueDescription,
  topic: topicDescription,
  subscription: subscriptionDescription,
};

// Before every entity's own keys, which begin with its encoded name.
const keptPrefix = '!entity/';

export class Namespace {
  readonly createdAt: number;
  readonly #entities = new Map<string, Entity>();
  readonly #journal: Journal;
  readonly #store: Store;
  readonly #options: NamespaceOptions;

  private constructor(store: Store, options: NamespaceOptions) {
    this.#store = store;
    this.#journal = new Journal(store);
    this.#options = options;
    this.createdAt = options.clock.now();
  }

  /** Entities of the topology, with what the administration made of them since. */
  static async open(topology: Topology, store: Store, options: NamespaceOptions) {
    const namespace = new Namespace(store, options);
    const kept = new Map<string, KeptEntity>();
    for await (const some of store.read(keptPrefix))
      for (const [key, value] of some)
        kept.set(key.slice(keptPrefix.length), JSON.parse(value.toString()) as KeptEntity);
    const wanted = new Map(entitiesOf(topology).map((entity) => [keyOf(entity.path), entity]));
    for (const [key, entity] of kept) {
      if (entity.removed) wanted.delete(key);
      else wanted.set(key, entity);
    }
    // Topics before their subscriptions.
    const inOrder = [...wanted.values()].sort((a, b) => a.path.length - b.path.length);
    for (const entity of inOrder) await namespace.#open(entity);
    for (const entity of namespace.#entities.values()) namespace.#connect(entity);
    return namespace;
  }

  // --- finding ----------------------------------------------------------------------------------

  /** Throws the fault whose text the SDKs recognise when there is no such entity. */
  queue(address: Address, host: string): Queue {
    const entity = this.#entities.get(address.entity);
    const queue = entity && partOf(entity, address.part);
    if (queue) return queue;
    throw notFound(`sb://${host}/${address.path}`);
  }

  /** The rules of a subscription were changed by its own clients. */
  changed({ entity }: Address): void {
    const found = this.#entities.get(entity);
    if (found) this.keep(found);
  }

  find(path: string): Entity | undefined {
    return this.#entities.get(keyOf(path));
  }

  /** @throws ServiceBusFault */
  get(path: string): Entity {
    const entity = this.find(path);
    if (!entity) throw notFound(path);
    return entity;
  }

  /** By name. */
  list(kind: 'queue' | 'topic'): Entity[] {
    return [...this.#entities.values()]
      .filter((entity) => entity.kind === kind)
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  // --- changing ---------------------------------------------------------------------------------

  /** @throws ServiceBusFault; ZodError when the description is wrong */
  async create(kind: Kind, path: string, description: object): Promise<Entity> {
    if (this.find(path)) throw entityExists(`The messaging entity '${path}'`);
    const now = this.#options.clock.now();
    const entity = await this.#open({
      kind,
      path,
      description: describe(kind, description),
      createdAt: now,
    });
    this.#connect(entity);
    this.keep(entity);
    await this.kept();
    return entity;
  }

  /** What is fixed when an entity is made stays. @throws ServiceBusFault; ZodError */
  async update(path: string, description: object): Promise<Entity> {
    const entity = this.get(path);
    const next = describe(entity.kind, { ...entity.description, ...description });
    for (const fixed of ['requiresSession', 'requiresDuplicateDetection'] as const)
      if (next[fixed] !== entity.description[fixed])
        throw new ServiceBusFault(
          'com.microsoft:argument-error',
          `SubCode=40000. ${fixed} of '${path}' cannot be changed once it is made.`,
        );
    entity.description = next;
    entity.updatedAt = this.#options.clock.now();
    const { name, role } = entity.queue.settings;
    Object.assign(entity.queue.settings, toSettings(name, role, next));
    this.#connect(entity);
    const { status } = entity.queue.settings;
    if (status === 'Disabled' || status === 'ReceiveDisabled')
      entity.queue.end(entityDisabled(path, status));
    this.keep(entity);
    await this.kept();
    return entity;
  }

  async remove(path: string): Promise<void> {
    const entity = this.get(path);
    for (const subscription of entity.subscriptions) await this.remove(subscription.path);
    for (const part of [entity.queue, entity.queue.deadLetters, entity.transfer]) part?.remove();
    entity.topic?.subscriptions.delete(entity);
    this.#entities.delete(keyOf(path));
    const { kind } = entity;
    this.#keep({ kind, path: entity.path, removed: true });
    await this.kept();
  }

  /** Writes down what became of an entity, for the next start. */
  keep({ kind, path, description, rules, createdAt, updatedAt }: Entity): void {
    this.#keep({
      kind,
      path,
      description,
      createdAt,
      updatedAt,
      ...(rules ? { rules: rules.all } : {}),
    });
  }

  kept(): Promise<void> {
    return this.#journal.kept();
  }

  async close(): Promise<void> {
    for (const { queue, transfer } of this.#entities.values())
      for (const part of [queue, queue.deadLetters, transfer]) part?.close();
    await this.#journal.close();
  }

  #keep(entity: KeptEntity): void {
    this.#journal.set(keptPrefix + keyOf(entity.path), Buffer.from(JSON.stringify(entity)));
  }

  // --- making -----------------------------------------------------------------------------------

  async #open(kept: KeptEntity): Promise<Entity> {
    const { kind, path } = kept;
    const description = kept.description ?? { name: path };
    const [, topicPath] = /^(.+)\/subscriptions\/[^/]+$/i.exec(path) ?? [];
    const topic = kind === 'subscription' ? this.get(topicPath ?? '') : undefined;
    const settings = toSettings(path, kind, description);
    const deadLetters = await this.#openQueue(deadLetterSettings(settings), undefined);
    const now = this.#options.clock.now();
    const entity: Entity = {
      kind,
      path,
      description,
      queue: await this.#openQueue(settings, deadLetters),
      transfer: await this.#openQueue(
        deadLetterSettings(settings, '$Transfer/$DeadLetterQueue'),
        undefined,
      ),
      subscriptions: new Set(),
      rules: kind === 'subscription' ? new Rules(kept.rules ?? [defaultRule]) : undefined,
      topic,
      createdAt: kept.createdAt ?? now,
      updatedAt: kept.updatedAt ?? now,
    };
    entity.queue.rules = entity.rules;
    entity.queue.alsoPeeked = topic?.queue;
    topic?.subscriptions.add(entity);
    this.#entities.set(keyOf(path), entity);
    return entity;
  }

  async #openQueue(settings: QueueSettings, deadLetters: Queue | undefined): Promise<Queue> {
    const journal = new EntityJournal(this.#journal, settings.name);
    const queue = new Queue(settings, this.#options.clock, journal, deadLetters);
    queue.restore(await journal.read(this.#store), this.#options);
    return queue;
  }

  /** What leaves an entity by itself, and whither. */
  #connect({ kind, description, queue, transfer, subscriptions }: Entity): void {
    const find = (name: string) => this.find(name)?.queue;
    const { forwardTo: target, forwardDeadLetteredMessagesTo: dead } = description;
    if (kind === 'topic') queue.passOn(fanOut(() => [...subscriptions].flatMap(toSubscriber)));
    else queue.passOn(target ? forwardTo(nameOf(target), find, transfer) : undefined);
    queue.deadLetters?.passOn(dead ? forwardTo(nameOf(dead), find, transfer) : undefined);
  }
}

const toSubscriber = ({ queue, rules }: Entity) => {
  // A disabled subscription still takes messages in; one that takes nothing gets none.
  const isOff = ['Disabled', 'SendDisabled'].includes(queue.settings.status);
  return rules && !isOff ? [{ queue, rules }] : [];
};

const keyOf = (path: string) => path.toLowerCase();

/** `forwardTo` may be an address. */
const nameOf = (target: string) => parseAddress(target).path;

const notFound = (what: string) =>
  new ServiceBusFault(
    'amqp:not-found',
    `The messaging entity '${what}' could not be found. To know more visit https://aka.ms/sbResourceMgrExceptions. Is it in topology.json?`,
  );

function partOf({ queue, transfer }: Entity, part: Address['part']): Queue | undefined {
  if (part === 'main') return queue;
  return part === 'deadLetters' ? queue.deadLetters : transfer;
}

function describe(kind: Kind, description: object): Entity['description'] {
  const parsed = schemas[kind].parse(description) as z.output<typeof queueDescription>;
  return Object.fromEntries(
    Object.entries(parsed).filter(
      ([name, value]) => value !== undefined && name !== 'subscriptions' && name !== 'rules',
    ),
  ) as Entity['description'];
}

function entitiesOf({ queues, topics }: Topology): KeptEntity[] {
  const of = (kind: Kind, path: string, description: object): KeptEntity => ({
    kind,
    path,
    description: describe(kind, description),
  });
  return [
    ...queues.map((queue) => of('queue', queue.name, queue)),
    ...topics.flatMap((topic) => [
      of('topic', topic.name, topic),
      ...topic.subscriptions.map(({ rules, ...subscription }) => ({
        ...of('subscription', `${topic.name}/Subscriptions/${subscription.name}`, subscription),
        ...(rules ? { rules } : {}),
      })),
    ]),
  ];
}
