/**
 * The broker's entities against a model of a few lines, through any sequence of what clients, their
 * administrators, the clock and the disk do. Each rule of the model is a sentence of the service's
 * documentation.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ServiceBusFault } from '#service-bus/entity/errors.js';
import type { Namespace } from '#service-bus/namespace.js';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';
import { type Action as ActionOf, doesAsTheModel } from '../support/model.ts';

const lockMs = 5000;
const maxDeliveryCount = 3;
const topology = {
  queues: [{ name: 'q', lockDuration: 'PT5S', maxDeliveryCount }],
  topics: [
    {
      name: 't',
      subscriptions: [{ name: 'all' }, { name: 'some', rules: [] as object[] }],
    },
  ],
};

interface Modelled {
  id: string;
  state: 'ready' | 'locked' | 'deferred' | 'dead' | 'gone';
  deliveries: number;
  /** Of a locked one; a deferred one may be locked too. */
  until: number;
  token: string;
  sequence: number;
  wasDeferred: boolean;
}

class World {
  readonly clock = movedClock();
  readonly store = keptStore();
  namespace!: Namespace;
  readonly messages: Modelled[] = [];
  /** Names of the rules of the one subscription, with the colour that each takes. */
  readonly rules = new Map<string, string>();
  readonly expected = { all: 0, some: 0 };
  readonly made = new Set<string>();
  sent = 0;
  /** No lock was taken before somebody set the clock. */
  restartable = true;

  async open(): Promise<void> {
    const { store, clock } = this;
    this.namespace = await namespaceOf(topology, { store, clock });
  }

  get queue() {
    return this.namespace.get('q').queue;
  }

  locked(n: number): Modelled | undefined {
    const all = this.messages.filter(({ state }) => state === 'locked');
    return all[n % Math.max(all.length, 1)];
  }

  /** The lock is over and it was not completed: one delivery more, until there were too many. */
  back(message: Modelled, state: 'ready' | 'deferred'): void {
    message.deliveries++;
    message.state = message.deliveries >= maxDeliveryCount ? 'dead' : state;
  }

  check(): void {
    const of = (...states: Modelled['state'][]) =>
      this.messages.filter(({ state }) => states.includes(state)).length;
    assert.equal(this.queue.stock.size, of('ready', 'locked', 'deferred'));
    assert.equal(this.queue.deadLetters?.stock.size, of('dead'));
    for (const name of ['all', 'some'] as const)
      assert.equal(
        this.namespace.get(`t/Subscriptions/${name}`).queue.stock.size,
        this.expected[name],
        name,
      );
    for (const name of ['a', 'b'])
      assert.equal(this.namespace.find(name) !== undefined, this.made.has(name), name);
  }
}

type Action = ActionOf<World>;

const settle =
  (
    kind: 'complete' | 'abandon' | 'defer' | 'deadLetter',
    then: (w: World, m: Modelled) => void,
  ): Action =>
  (world, n) => {
    const message = world.locked(n);
    if (!message) return;
    world.queue.settle(message.token, { kind });
    then(world, message);
    // Of an old lock nothing can be done any more.
    assert.throws(() => world.queue.settle(message.token, { kind: 'complete' }), ServiceBusFault);
  };

const colours = ['red', 'blue', 'gr-een%'];

const actions: Record<string, Action> = {
  send(world, n) {
    // Ids of any type; the queue looks for no duplicates.
    const ids = [`m${world.sent}`, world.sent + 1, Buffer.alloc(16, world.sent)];
    const [sequence = 0] = world.queue.enqueue([content({ message_id: ids[n % 3] })]);
    world.messages.push({
      ...{ id: `m${world.sent++}`, state: 'ready', deliveries: 0, until: 0, token: '' },
      ...{ sequence, wasDeferred: false },
    });
  },
  take(world) {
    const taker = new Taker(1);
    world.queue.addConsumer(taker);
    world.queue.removeConsumer(taker);
    const first = world.messages.find(({ state }) => state === 'ready');
    assert.equal(taker.taken.length, first ? 1 : 0);
    if (!first) return;
    assert.equal(taker.last.sequence, first.sequence, 'the oldest that is ready');
    assert.equal(taker.last.deliveryCount, first.deliveries);
    first.state = 'locked';
    first.until = world.clock.elapsed() + lockMs;
    first.token = taker.last.lock?.token ?? '';
  },
  complete: settle('complete', (_, message) => {
    message.state = 'gone';
  }),
  abandon: settle('abandon', (world, message) =>
    world.back(message, message.wasDeferred ? 'deferred' : 'ready'),
  ),
  defer: settle('defer', (world, message) => {
    message.wasDeferred = true;
    world.back(message, 'deferred');
  }),
  deadLetter: settle('deadLetter', (_, message) => {
    message.state = 'dead';
  }),
  takeDeferred(world, n) {
    const all = world.messages.filter(({ state }) => state === 'deferred');
    const message = all[n % Math.max(all.length, 1)];
    if (!message) return;
    const taker = new Taker();
    world.queue.receiveDeferred([message.sequence], taker);
    assert.equal(taker.last.deliveryCount, message.deliveries);
    message.state = 'locked';
    message.until = world.clock.elapsed() + lockMs;
    message.token = taker.last.lock?.token ?? '';
  },
  renew(world, n) {
    const message = world.locked(n);
    if (!message) return;
    world.queue.renewLock(message.token);
    message.until = world.clock.elapsed() + lockMs;
  },
  pass(world, n) {
    world.clock.advance((n % 4) * 2000);
    const now = world.clock.elapsed();
    for (const message of world.messages)
      if (message.state === 'locked' && message.until <= now)
        world.back(message, message.wasDeferred ? 'deferred' : 'ready');
  },
  jump(world, n) {
    // Over a restart a lock is known by the time on the wall only.
    world.restartable = false;
    world.clock.set(world.clock.now() + (n % 2 ? 3_600_000 : -3_600_000));
  },
  async restart(world) {
    await world.queue.kept();
    await world.namespace.close();
    if (!world.restartable) {
      // Locks that were taken before the clock was set: let them end first.
      world.restartable = true;
      await world.open();
      world.clock.advance(lockMs + 1);
      for (const message of world.messages)
        if (message.state === 'locked')
          world.back(message, message.wasDeferred ? 'deferred' : 'ready');
    } else await world.open();
  },
  async diskFails(world) {
    world.store.fails = true;
    await actions['send']?.(world, 0);
    for (let n = 0; n < 4; n++) await turn();
    assert.throws(() => world.queue.enqueue([content()]), ServiceBusFault);
    const taker = new Taker(1);
    world.queue.addConsumer(taker);
    world.queue.removeConsumer(taker);
    assert.equal(taker.taken.length, 0, 'nothing is handed out meanwhile');
    world.store.fails = false;
    await actions['pass']?.(world, 1);
    await world.queue.kept();
  },
  publish(world, n) {
    const colour = colours[n % colours.length] ?? '';
    world.namespace.get('t').queue.enqueue([content({ application_properties: { colour } })]);
    world.expected.all++;
    if ([...world.rules.values()].includes(colour)) world.expected.some++;
  },
  addRule(world, n) {
    const entity = world.namespace.get('t/Subscriptions/some');
    const [name, colour] = [`r${n % 4}`, colours[n % colours.length] ?? ''];
    const forms = [
      { correlationFilter: { properties: { colour } } },
      { sqlFilter: { sqlExpression: `colour = '${colour}'` } },
      { sqlFilter: { sqlExpression: `colour LIKE '${colour.replace('%', '!%')}' ESCAPE '!'` } },
    ];
    const add = () => entity.rules?.add({ name, ...forms[n % forms.length] });
    if (world.rules.has(name)) assert.throws(add, ServiceBusFault);
    else {
      add();
      world.rules.set(name, colour);
      world.namespace.keep(entity);
    }
  },
  removeRule(world, n) {
    const entity = world.namespace.get('t/Subscriptions/some');
    const name = `r${n % 4}`;
    if (!world.rules.delete(name)) return;
    entity.rules?.remove(name);
    world.namespace.keep(entity);
  },
  async administer(world, n) {
    // Several at once, of one name: the first that can be done is done, whatever comes between.
    const name = n % 2 ? 'a' : 'b';
    const { namespace } = world;
    const create = () => namespace.create('queue', name, { name });
    const results = await Promise.allSettled([
      create(),
      create(),
      namespace.remove(name),
      create(),
    ]);
    const done = results.map(({ status }) => status === 'fulfilled');
    assert.deepEqual(done, [!world.made.has(name), false, true, true]);
    world.made.add(name);
  },
};

// Each time the disk fails the broker says so.
process.removeAllListeners('warning');

test('whatever clients, administrators, the clock and the disk do, the entities do as the model', async () => {
  await doesAsTheModel(() => new World(), actions, { maxLength: 60 });
});
