/**
 * A queue with sessions, duplicate detection, times to live and scheduled messages against a model of a
 * few lines, through any sequence of what clients and the clock do. Each rule of the model is a sentence
 * of the service's documentation.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusFault } from '#service-bus/entity/errors.js';
import type { Session } from '#service-bus/entity/session.js';
import type { Namespace } from '#service-bus/namespace.js';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';
import { type Action as ActionOf, doesAsTheModel } from '../support/model.ts';

const lockMs = 5_000;
const windowMs = 20_000;
const maxDeliveryCount = 3;
const queue = {
  ...{ name: 'q', requiresSession: true, lockDuration: 'PT5S', maxDeliveryCount },
  ...{ requiresDuplicateDetection: true, duplicateDetectionHistoryTimeWindow: 'PT20S' },
  deadLetteringOnMessageExpiration: true,
};

interface Modelled {
  sequence: number;
  session: string;
  state: 'scheduled' | 'ready' | 'locked' | 'deferred' | 'dead' | 'gone';
  deliveries: number;
  dueAt: number;
  ttl: number | undefined;
  expiresAt: number;
  token: string;
  wasDeferred: boolean;
}

interface Held {
  session: Session;
  holder: { ready(): void; lost(): void; isLost: boolean };
  ends: number;
}

class World {
  readonly clock = movedClock();
  readonly store = keptStore();
  namespace!: Namespace;
  messages: Modelled[] = [];
  readonly held = new Map<string, Held>();
  readonly states = new Map<string, string>();
  readonly seen = new Map<string, number>();
  sent = 0;

  async open(): Promise<void> {
    const { store, clock } = this;
    this.namespace = await namespaceOf({ queues: [queue] }, { store, clock });
  }

  get queue() {
    return this.namespace.get('q').queue;
  }

  get sessions() {
    return this.queue.sessions ?? assert.fail();
  }

  of(session: string, state: Modelled['state']): Modelled[] {
    return this.messages.filter((one) => one.session === session && one.state === state);
  }

  /** Not in the hands of anybody any more. */
  back(message: Modelled, counts: boolean): void {
    if (counts) message.deliveries++;
    const isDead = message.deliveries >= maxDeliveryCount;
    message.state = isDead ? 'dead' : message.wasDeferred ? 'deferred' : 'ready';
  }

  release(name: string, counts: boolean): void {
    this.held.delete(name);
    for (const message of this.of(name, 'locked')) this.back(message, counts);
  }

  /** What the time brings about: locks that end, what is due, what expires unless it is deferred. */
  settleTime(): void {
    const [now, elapsed] = [this.clock.now(), this.clock.elapsed()];
    for (const [name, { ends }] of this.held) if (ends <= elapsed) this.release(name, true);
    for (const message of this.messages) {
      if (message.state === 'scheduled' && message.dueAt <= now) {
        message.state = 'ready';
        message.expiresAt = message.dueAt + (message.ttl ?? Number.POSITIVE_INFINITY);
        // A new number, which the broker alone knows.
        message.sequence = Number.NaN;
      }
      if (message.state === 'ready' && message.expiresAt <= now) message.state = 'dead';
    }
  }

  /** What expired in somebody's hands goes as soon as it is back. */
  moment(): void {
    this.clock.advance(1);
    this.settleTime();
  }

  check(): void {
    const there = this.messages.filter(({ state }) => !['dead', 'gone'].includes(state));
    assert.equal(this.queue.stock.size, there.length, 'messages');
    const dead = this.messages.filter(({ state }) => state === 'dead');
    assert.equal(this.queue.deadLetters?.stock.size, dead.length, 'dead letters');
    const listed = new Set([...there.map(({ session }) => session), ...this.states.keys()]);
    assert.deepEqual(this.sessions.list(0, 100).sort(), [...listed].sort());
    for (const [name, { holder }] of this.held) assert.equal(holder.isLost, false, name);
  }
}

const names = ['a', 'b', 'c'];
const nameOf = (n: number) => names[n % names.length] ?? '';

function holderOf(): Held['holder'] {
  const holder = {
    isLost: false,
    ready: () => undefined,
    lost() {
      holder.isLost = true;
    },
  };
  return holder;
}

type Action = ActionOf<World>;

const settle =
  (
    kind: 'complete' | 'abandon' | 'defer' | 'deadLetter',
    then: (m: Modelled, w: World) => void,
  ): Action =>
  (world, n) => {
    const all = world.messages.filter(({ state }) => state === 'locked');
    const message = all[n % Math.max(all.length, 1)];
    if (!message) return;
    world.queue.settle(message.token, { kind });
    then(message, world);
    world.moment();
    assert.throws(() => world.queue.settle(message.token, { kind: 'complete' }), ServiceBusFault);
  };

const actions: Record<string, Action> = {
  send(world, n) {
    const isRepeat = n % 5 === 0 && world.sent > 0;
    const id = `m${isRepeat ? Math.max(0, world.sent - 1 - (n % 3)) : world.sent++}`;
    const now = world.clock.now();
    const ttl = n % 4 === 1 ? 4_000 : undefined;
    const dueAt = n % 7 === 2 ? now + 3_000 : now;
    const [sequence = 0] = world.queue.enqueue([
      content({
        ...{ message_id: id, group_id: nameOf(n), ...(ttl ? { ttl } : {}) },
        ...(dueAt > now
          ? { message_annotations: { 'x-opt-scheduled-enqueue-time': new Date(dueAt) } }
          : {}),
      }),
    ]);
    // Within the window the second of an id is dropped, whatever else it says.
    if ((world.seen.get(id) ?? 0) > now) return assert.equal(sequence, 0);
    world.seen.set(id, now + windowMs);
    world.messages.push({
      ...{ sequence, session: nameOf(n), deliveries: 0, token: '', wasDeferred: false, ttl, dueAt },
      state: dueAt > now ? 'scheduled' : 'ready',
      expiresAt: dueAt > now || !ttl ? Number.POSITIVE_INFINITY : now + ttl,
    });
  },
  accept(world, n) {
    const name = nameOf(n);
    const holder = holderOf();
    const accept = () => world.sessions.accept(name, holder);
    if (world.held.has(name)) assert.throws(accept, ServiceBusFault);
    else world.held.set(name, { session: accept(), holder, ends: world.clock.elapsed() + lockMs });
  },
  acceptNext(world) {
    let granted: Session | undefined;
    const holder = holderOf();
    const waiter = Object.assign(holder, {
      granted(session: Session) {
        granted = session;
      },
    });
    world.sessions.acceptNext(waiter);
    const free = names.filter(
      (name) => !world.held.has(name) && world.of(name, 'ready').length > 0,
    );
    if (granted) {
      assert.ok(free.includes(granted.id), `${granted.id} is held, or has nothing ready`);
      world.held.set(granted.id, {
        session: granted,
        holder,
        ends: world.clock.elapsed() + lockMs,
      });
    } else {
      assert.deepEqual(free, []);
      world.sessions.stopWaiting(waiter);
    }
  },
  take(world, n) {
    const held = [...world.held][n % Math.max(world.held.size, 1)];
    if (!held) return;
    const [name, { session, holder }] = held;
    const taker = new Taker(1);
    world.queue.dispatchSession(session, holder, taker);
    const ready = world.of(name, 'ready');
    assert.equal(taker.taken.length, Math.min(ready.length, 1), `of ${name}`);
    if (taker.taken.length === 0) return;
    // Those that were scheduled have numbers of when they became active: told apart by their id.
    const known = ready.find(({ sequence }) => sequence === taker.last.sequence);
    const message = known ?? ready.find(({ sequence }) => Number.isNaN(sequence));
    assert.ok(message, 'one that is ready');
    message.sequence = taker.last.sequence;
    for (const other of ready)
      assert.ok(!(other.sequence < message.sequence), 'the oldest of the session');
    assert.equal(taker.last.deliveryCount, message.deliveries);
    Object.assign(message, { state: 'locked', token: taker.last.lock?.token ?? '' });
  },
  complete: settle('complete', (message) => {
    message.state = 'gone';
  }),
  abandon: settle('abandon', (message, world) => world.back(message, true)),
  defer: settle('defer', (message, world) => {
    message.wasDeferred = true;
    world.back(message, true);
  }),
  deadLetter: settle('deadLetter', (message) => {
    message.state = 'dead';
  }),
  takeDeferred(world, n) {
    const all = world.messages.filter(({ state }) => state === 'deferred');
    const message = all[n % Math.max(all.length, 1)];
    if (!message) return;
    const taker = new Taker();
    const held = world.held.get(message.session);
    const take = () => world.queue.receiveDeferred([message.sequence], taker, held?.session);
    // By session and number, by who holds the session.
    if (!held) return void assert.throws(take, ServiceBusFault);
    if (message.expiresAt <= world.clock.now()) {
      assert.throws(take, ServiceBusFault);
      message.state = 'dead';
      return;
    }
    take();
    assert.equal(taker.last.deliveryCount, message.deliveries);
    Object.assign(message, { state: 'locked', token: taker.last.lock?.token ?? '' });
  },
  renew(world, n) {
    const held = [...world.held][n % Math.max(world.held.size, 1)];
    if (!held) return;
    const [name, one] = held;
    world.sessions.renew(name, (holder) => holder === one.holder);
    one.ends = world.clock.elapsed() + lockMs;
    assert.throws(() => world.sessions.renew(name, () => false), ServiceBusFault);
  },
  /** The link is closed: a delivery is not counted. */
  close(world, n) {
    const held = [...world.held][n % Math.max(world.held.size, 1)];
    if (!held) return;
    const [name, { session, holder }] = held;
    world.sessions.release(session, holder);
    world.release(name, false);
    world.moment();
  },
  state(world, n) {
    const name = nameOf(n);
    const held = world.held.get(name);
    const value = n % 3 === 0 ? undefined : `state ${n}`;
    const set = () =>
      world.sessions.setState(
        name,
        (it) => it === held?.holder,
        value ? Buffer.from(value) : undefined,
      );
    if (!held) return void assert.throws(set, ServiceBusFault);
    set();
    if (value) world.states.set(name, value);
    else world.states.delete(name);
    assert.equal(held.session.state?.toString(), value);
  },
  pass(world, n) {
    for (let ms = 0; ms < (n % 8) * 1_000; ms += 500) {
      world.clock.advance(500);
      world.settleTime();
    }
  },
  /** Receivers' links end with the broker: their sessions are free, and what they had counts. */
  async restart(world) {
    await world.queue.kept();
    await world.namespace.close();
    for (const name of [...world.held.keys()]) world.release(name, true);
    await world.open();
    for (const [name, value] of world.states)
      assert.equal(world.sessions.find(name)?.state?.toString(), value);
    world.moment();
  },
};

test('whatever clients and the clock do, a queue with sessions does as the model', async () => {
  await doesAsTheModel(() => new World(), actions, { maxLength: 80, size: 'max' });
});
