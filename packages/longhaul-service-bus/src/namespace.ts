/** The queues, topics and subscriptions of one broker: found, made, changed, removed, kept. */
import { type Address, parseAddress } from './address.ts';
import {
  type Description,
  describeChanged,
  describeNew,
  type Kind,
} from './entity/descriptions.ts';
import { entityDisabled, entityExists, ServiceBusFault } from './entity/errors.ts';
import { forwardTo } from './entity/forward.ts';
import { IdleEntities } from './entity/idle.ts';
import { checkName } from './entity/names.ts';
import { Queue } from './entity/queue.ts';
import { defaultRule, Rules } from './entity/rules.ts';
import {
  deadLetterSettings,
  type QueueSettings,
  type RuleDescription,
  type Topology,
  toSettings,
} from './entity/settings.ts';
import { fanOut } from './entity/topic.ts';
import { tell } from './guarded.ts';
import { forgetEntity, type KeptEntity, keepEntity, keyOf, readEntities } from './kept-entities.ts';
import { EntityJournal, Journal, type Store } from './store/journal.ts';
import type { BrokerClock } from './time.ts';

export interface Entity {
  kind: Kind;
  /** As it was named; `topic/Subscriptions/name` for a subscription. */
  path: string;
  description: Description;
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

export interface NamespaceOptions {
  clock: BrokerClock;
  /** True when no client outlived the last broker: its locks end at once. */
  releaseLocks: boolean;
}

export class Namespace {
  readonly createdAt: number;
  readonly #entities = new Map<string, Entity>();
  readonly #declared: ReadonlySet<string>;
  readonly #journal: Journal;
  readonly #store: Store;
  readonly #options: NamespaceOptions;
  readonly #idle: IdleEntities<Entity>;
  /** Entities are made, changed and removed one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(declared: ReadonlySet<string>, store: Store, options: NamespaceOptions) {
    this.#declared = declared;
    this.#store = store;
    this.#journal = new Journal(store, options.clock);
    this.#journal.recovered = () => this.#dispatchAll();
    this.#options = options;
    this.createdAt = options.clock.now();
    this.#idle = new IdleEntities(options.clock, (entity) => {
      if (this.#entities.get(keyOf(entity.path)) !== entity) return;
      this.remove(entity.path).catch(tell(`The idle entity ${entity.path} could not be removed`));
    });
  }

  /** Entities of the topology, with what the administration made of them since. */
  static async open(topology: Topology, store: Store, options: NamespaceOptions) {
    const wanted = new Map(entitiesOf(topology).map((entity) => [keyOf(entity.path), entity]));
    const namespace = new Namespace(new Set(wanted.keys()), store, options);
    for (const [key, entity] of await readEntities(store)) {
      if (!entity.removed) wanted.set(key, entity);
      else if (!wanted.delete(key)) forgetEntity(namespace.#journal, entity.path);
    }
    // Topics before their subscriptions.
    const inOrder = [...wanted.values()].sort((a, b) => a.path.length - b.path.length);
    for (const entity of inOrder) {
      if (entity.kind !== 'subscription' || namespace.find(topicOf(entity.path)))
        await namespace.#open(entity);
      else
        process.emitWarning(
          `The subscription ${entity.path} is left out: the topology has no topic of that name.`,
        );
    }
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

  /**
   * A subscription without `rules` takes all.
   *
   * @throws ServiceBusFault; ZodError when the description or a rule is wrong
   */
  create(
    kind: Kind,
    path: string,
    description: object,
    rules?: readonly RuleDescription[],
  ): Promise<Entity> {
    return this.#inTurn(async () => {
      if (this.find(path)) throw entityExists(path);
      checkName(kind, path);
      const now = this.#options.clock.now();
      const compiled = new Rules(rules ?? [defaultRule]);
      const entity = await this.#open({
        kind,
        path,
        description: describeNew(kind, description),
        rules: compiled.all,
        createdAt: now,
      });
      this.#connect(entity);
      this.keep(entity);
      await this.kept();
      return entity;
    });
  }

  /** What is fixed when an entity is made stays. @throws ServiceBusFault; ZodError */
  update(path: string, description: object): Promise<Entity> {
    return this.#inTurn(async () => {
      const entity = this.get(path);
      entity.description = describeChanged(entity.kind, entity.description, description);
      entity.updatedAt = this.#options.clock.now();
      const { name, role } = entity.queue.settings;
      Object.assign(entity.queue.settings, toSettings(name, role, entity.description));
      this.#connect(entity);
      const { status } = entity.queue.settings;
      if (status === 'Disabled' || status === 'ReceiveDisabled')
        entity.queue.end(entityDisabled(path, status));
      this.keep(entity);
      await this.kept();
      return entity;
    });
  }

  /** A topic with its subscriptions, in one group of the journal. @throws ServiceBusFault */
  remove(path: string): Promise<void> {
    return this.#inTurn(async () => {
      const entity = this.get(path);
      for (const each of [...entity.subscriptions, entity]) this.#remove(each);
      await this.kept();
    });
  }

  #remove(entity: Entity): void {
    const { kind, path } = entity;
    for (const part of [entity.queue, entity.queue.deadLetters, entity.transfer]) part?.remove();
    entity.topic?.subscriptions.delete(entity);
    this.#entities.delete(keyOf(path));
    if (this.#declared.has(keyOf(path))) keepEntity(this.#journal, { kind, path, removed: true });
    else forgetEntity(this.#journal, path);
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Writes down what became of an entity, for the next start. */
  keep({ kind, path, description, rules, createdAt, updatedAt }: Entity): void {
    keepEntity(this.#journal, {
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
    await this.#turn;
    this.#idle.close();
    for (const { queue, transfer } of this.#entities.values())
      for (const part of [queue, queue.deadLetters, transfer]) part?.close();
    await this.#journal.close();
  }

  #dispatchAll(): void {
    for (const { queue, transfer } of this.#entities.values())
      for (const part of [queue, queue.deadLetters, transfer]) part?.dispatch();
  }

  // --- making -----------------------------------------------------------------------------------

  async #open(kept: KeptEntity): Promise<Entity> {
    const { kind, path } = kept;
    const description = kept.description ?? { name: path };
    const topic = kind === 'subscription' ? this.get(topicOf(path)) : undefined;
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
    entity.queue.usedBytes = () => usedBytes(entity);
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

  /** What leaves an entity by itself, and whither; and when it goes as nobody uses it. */
  #connect(entity: Entity): void {
    const { kind, description, queue, transfer, subscriptions } = entity;
    const find = (name: string) => this.find(name)?.queue;
    const { forwardTo: target, forwardDeadLetteredMessagesTo: dead } = description;
    if (kind === 'topic') queue.passOn(fanOut(() => [...subscriptions].flatMap(toSubscriber)));
    else queue.passOn(target ? forwardTo(nameOf(target), find, transfer) : undefined);
    queue.deadLetters?.passOn(dead ? forwardTo(nameOf(dead), find, transfer) : undefined);
    this.#idle.watch(entity);
  }
}

const toSubscriber = ({ queue, rules }: Entity) => {
  // A disabled subscription still takes messages in; one that takes nothing gets none.
  const isOff = ['Disabled', 'SendDisabled'].includes(queue.settings.status);
  return rules && !isOff ? [{ queue, rules }] : [];
};

/** Of all its parts; what a topic passed on is its own still. */
export function usedBytes({ queue, transfer, subscriptions }: Entity): number {
  let bytes = queue.stock.bytes + (queue.deadLetters?.stock.bytes ?? 0) + transfer.stock.bytes;
  for (const subscription of subscriptions) bytes += usedBytes(subscription);
  return bytes;
}

const topicOf = (path: string) => path.replace(/\/subscriptions\/[^/]+$/i, '');

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

function entitiesOf({ queues, topics }: Topology): KeptEntity[] {
  const of = (kind: Kind, path: string, description: object): KeptEntity => {
    checkName(kind, path);
    return { kind, path, description: describeNew(kind, description) };
  };
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
