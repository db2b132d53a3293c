/** Findings of a review, by the entities alone: no socket, a clock that is moved, a store that is hurt. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Duplicates } from '#service-bus/entity/duplicates.js';
import { ServiceBusFault } from '#service-bus/entity/errors.js';
import { compileFilter } from '#service-bus/entity/sql.js';
import { fanOut } from '#service-bus/entity/topic.js';
import { EntityJournal, Journal } from '#service-bus/store/journal.js';
import { content, keptStore, movedClock, namespaceOf, Taker } from '../support/bus.ts';

const at = (ms: number) => ({
  message_annotations: { 'x-opt-scheduled-enqueue-time': new Date(ms) },
});
const isFault = (condition: string) => (fault: unknown) =>
  fault instanceof ServiceBusFault && fault.condition === condition;
const ids = (taker: Taker) => taker.taken.map((message) => message.content.messageId);

test('LIKE takes every character as it is, and no pattern takes long', () => {
  const is = (text: string, value: string) => compileFilter(text)(() => value);
  for (const [pattern, value] of [
    ['eu-%', 'eu-west'],
    ['a.b', 'a.b'],
    ['%/x', 'y/x'],
    ['_%_', 'ab'],
    ['%', ''],
    ['[a]^$', '[a]^$'],
    ['a%b%c', 'a--b--c'],
    ['_', '\u{1f600}'],
  ] as const)
    assert.equal(is(`p LIKE '${pattern}'`, value), true, pattern);
  for (const [pattern, value] of [
    ['a.b', 'axb'],
    ['a%a', 'a'],
    ['%b%b', 'ab'],
    ['_', 'ab'],
  ] as const)
    assert.equal(is(`p LIKE '${pattern}'`, value), false, pattern);
  assert.equal(is("p LIKE 'a!%b' ESCAPE '!'", 'a%b'), true);
  const began = performance.now();
  assert.equal(is(`p LIKE '${'%a'.repeat(20)}%b'`, 'a'.repeat(30_000)), false);
  assert.ok(performance.now() - began < 1000, 'it froze');
});

test('newid() is another one each time, p() finds a property by a name that is worked out', () => {
  const look = (_: string, name: string) => (name === 'wanted' ? 'yes' : null);
  assert.equal(compileFilter("p('wan' + 'ted') = 'yes'")(look), true);
  assert.equal(compileFilter("property('none') IS NULL AND newid() <> newid()")(look), true);
  assert.equal(compileFilter('p IS NULL AND newid IS NULL')(look), true);
});

test('a rule that fails dead-letters for its subscription alone, before anything is taken in twice', async () => {
  const namespace = await namespaceOf({
    topics: [{ name: 't', subscriptions: [{ name: 'a' }, { name: 'b' }] }],
  });
  const [a, b] = ['a', 'b'].map((name) => namespace.get(`t/Subscriptions/${name}`));
  assert.ok(a?.rules && b);
  const topic = namespace.get('t').queue;
  const failing = {
    copies: () => {
      throw new Error('this rule fails');
    },
  };
  topic.passOn(
    fanOut(() => [
      { queue: a.queue, rules: a.rules as NonNullable<typeof a.rules> },
      { queue: b.queue, rules: failing },
    ]),
  );
  topic.enqueue([content()]);
  assert.deepEqual(
    [a.queue.stock.size, b.queue.stock.size, b.queue.deadLetters?.stock.size],
    [1, 0, 1],
  );
});

test('of many that make one entity at once one does', async () => {
  const namespace = await namespaceOf({ topics: [{ name: 't' }] });
  for (const [kind, path] of [
    ['queue', 'q'],
    ['subscription', 't/Subscriptions/s'],
  ] as const) {
    const made = await Promise.allSettled(
      Array.from({ length: 10 }, () => namespace.create(kind, path, { name: 'q' })),
    );
    assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const each of made)
      if (each.status === 'rejected')
        assert.ok(isFault('com.microsoft:entity-already-exists')(each.reason));
  }
  assert.equal(namespace.get('t').subscriptions.size, 1);
});

test('a subscription whose topic is not there is left out; a topic is removed with its subscriptions at once', async () => {
  const store = keptStore();
  const first = await namespaceOf({ topics: [{ name: 'declared' }] }, { store });
  await first.create('subscription', 'declared/Subscriptions/made', { name: 'made' });
  await first.create('topic', 'other', { name: 'other' });
  await first.create('subscription', 'other/Subscriptions/s', { name: 's' });
  let groups = 0;
  const write = store.write.bind(store);
  store.write = async (changes) => {
    groups++;
    await write(changes);
  };
  await first.remove('other');
  assert.equal(groups, 1);
  await first.close();
  const second = await namespaceOf({ queues: [{ name: 'q' }] }, { store });
  assert.equal(second.find('declared/Subscriptions/made'), undefined);
  assert.ok(second.find('q'));
});

test('a subscription deleted with its topic while one is made leaves a store that starts', async () => {
  const store = keptStore();
  const namespace = await namespaceOf({ queues: [] }, { store });
  await namespace.create('topic', 't', { name: 't' });
  await Promise.allSettled([
    namespace.create('subscription', 't/Subscriptions/s', { name: 's' }),
    namespace.remove('t'),
    namespace.create('subscription', 't/Subscriptions/late', { name: 'late' }),
  ]);
  await namespace.close();
  const again = await namespaceOf({ queues: [] }, { store });
  assert.equal(again.find('t'), undefined);
  assert.deepEqual(
    [...store.data.keys()].filter((key) => key.startsWith('!entity/')),
    [],
  );
});

test('a write that fails is tried again: nothing is told as kept, taken in or handed out meanwhile', async () => {
  const [store, clock] = [keptStore(), movedClock()];
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] }, { store, clock });
  const { queue } = namespace.get('q');
  store.fails = true;
  queue.enqueue([content({ message_id: 'first' })]);
  let kept = false;
  const waits = queue.kept().then(() => {
    kept = true;
  });
  for (let n = 0; n < 5; n++) await turn();
  assert.equal(kept, false);
  assert.throws(() => queue.enqueue([content()]), isFault('com.microsoft:server-busy'));
  const taker = new Taker();
  queue.addConsumer(taker);
  assert.equal(taker.taken.length, 0);
  store.fails = false;
  clock.advance(1000);
  await waits;
  assert.deepEqual(ids(taker), ['first']);
  queue.settle(taker.tokens[0] ?? '', { kind: 'complete' });
  queue.enqueue([content({ message_id: 'second' })]);
  await queue.kept();
  assert.deepEqual(ids(taker), ['first', 'second']);
});

test('numbers are not used again when the counter was lost', async () => {
  const store = keptStore();
  const first = await namespaceOf({ queues: [{ name: 'q' }] }, { store });
  const numbers = first.get('q').queue.enqueue([content(), content(), content()]);
  await first.close();
  store.data.delete('q/c');
  const second = await namespaceOf({ queues: [{ name: 'q' }] }, { store });
  const [next = 0] = second.get('q').queue.enqueue([content()]);
  assert.ok(next > Math.max(...numbers));
  assert.equal(second.get('q').queue.stock.size, 4);
});

test('each id is a duplicate for its own time, also when the window changes', () => {
  const clock = movedClock(0);
  const settings = { duplicateWindowMs: 600_000 };
  const journal = new EntityJournal(new Journal(keptStore(), clock), 'q');
  const seen = new Duplicates(settings, clock, journal);
  seen.seenBefore('long');
  settings.duplicateWindowMs = 20_000;
  seen.seenBefore('short');
  clock.advance(30_000);
  assert.equal(seen.seenBefore('short'), false, 'behind one that lasts longer');
  assert.equal(seen.seenBefore('long'), true);
});

test('ids of different types are not the same id', () => {
  const uuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  const other = Buffer.from('ff112233445566778899aabbccddeeff', 'hex');
  const of = [uuid, other, 1, '1', 'text'].map((id) => content({ message_id: id }).messageId);
  assert.equal(new Set(of).size, of.length);
  assert.equal(content({ message_id: uuid }).messageId, of[0]);
});

test('what is scheduled for one instant comes in the order in which it was sent', async () => {
  const clock = movedClock();
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] }, { clock });
  const { queue } = namespace.get('q');
  const due = clock.now() + 1000;
  const names = Array.from({ length: 20 }, (_, n) => `m${n}`);
  queue.enqueue(names.map((message_id) => content({ message_id, ...at(due) })));
  const taker = new Taker();
  queue.addConsumer(taker);
  clock.advance(1000);
  assert.deepEqual(ids(taker), names);
});

test('the clock set forward brings what is due within ten seconds; set back it makes no lock longer', async () => {
  const clock = movedClock();
  const topology = {
    queues: [
      { name: 'q', lockDuration: 'PT2S' },
      { name: 's', requiresSession: true, lockDuration: 'PT2S' },
    ],
  };
  const namespace = await namespaceOf(topology, { clock });
  const { queue } = namespace.get('q');
  queue.enqueue([content({ message_id: 'later', ...at(clock.now() + 3_600_000) })]);
  const taker = new Taker(1);
  queue.addConsumer(taker);
  clock.set(clock.now() + 3_600_000);
  clock.advance(10_000);
  assert.deepEqual(ids(taker), ['later']);
  taker.left = 1;
  clock.set(clock.now() - 3_600_000);
  clock.advance(2_500);
  assert.equal(taker.taken.length, 2, 'its lock ended');
  const { sessions } = namespace.get('s').queue;
  let lost = false;
  sessions?.accept('x', { ready: () => undefined, lost: () => (lost = true) });
  clock.set(clock.now() - 3_600_000);
  clock.advance(2_500);
  assert.ok(lost);
});

test('a filter on a date matches after a restart too', async () => {
  const store = keptStore();
  const when = new Date(86_400_000);
  const correlationFilter = { properties: { when } };
  const first = await namespaceOf({ topics: [{ name: 't' }] }, { store });
  await first.create('subscription', 't/Subscriptions/s', { name: 's' }, [
    { name: 'on', correlationFilter },
  ]);
  await first.close();
  const second = await namespaceOf({ topics: [{ name: 't' }] }, { store });
  second.get('t').queue.enqueue([content({ application_properties: { when } })]);
  assert.equal(second.get('t/Subscriptions/s').queue.stock.size, 1);
});

test('a subscription with a rule that cannot be understood is not made', async () => {
  const namespace = await namespaceOf({ topics: [{ name: 't' }] });
  const rules = [{ name: 'bad', sqlFilter: { sqlExpression: 'a = = b' } }];
  await assert.rejects(namespace.create('subscription', 't/Subscriptions/s', { name: 's' }, rules));
  assert.equal(namespace.find('t/Subscriptions/s'), undefined);
  assert.equal(namespace.get('t').subscriptions.size, 0);
});

test('the size of an entity is that of all its parts', async () => {
  const clock = movedClock();
  const big = () => content({ body: Buffer.alloc(300_000) });
  const namespace = await namespaceOf(
    {
      queues: [{ name: 'q', maxSizeInMegabytes: 1 }],
      topics: [{ name: 't', maxSizeInMegabytes: 1, subscriptions: [{ name: 's' }] }],
    },
    { clock },
  );
  const { queue } = namespace.get('q');
  const taker = new Taker();
  queue.addConsumer(taker);
  for (let n = 0; n < 3; n++) {
    queue.enqueue([big()]);
    queue.settle(taker.last.lock?.token ?? '', { kind: 'deadLetter' });
  }
  assert.throws(() => queue.enqueue([big()]), isFault('amqp:resource-limit-exceeded'));
  const topic = namespace.get('t').queue;
  for (let n = 0; n < 3; n++) topic.enqueue([big()]);
  assert.throws(() => topic.enqueue([big()]), isFault('amqp:resource-limit-exceeded'));
});

test('names that are none are refused, in the topology too', async () => {
  const namespace = await namespaceOf({ topics: [{ name: 't' }] });
  for (const name of [
    '!entity',
    '',
    '/a',
    'a/',
    'a//b',
    'a?b',
    'a#b',
    'a\\b',
    '$x',
    'a'.repeat(261),
  ]) {
    await assert.rejects(namespaceOf({ queues: [{ name }] }), Error, name);
    await assert.rejects(namespace.create('queue', name, { name }), Error, name);
  }
  for (const name of ['a/b.c_d-e', 'x', '1'])
    assert.equal((await namespace.create('queue', name, { name })).path, name);
});

test('what has sessions cannot forward', async () => {
  const of = { name: 'q', requiresSession: true, forwardTo: 'x' };
  await assert.rejects(namespaceOf({ queues: [of, { name: 'x' }] }), /cannot forward/);
  const namespace = await namespaceOf({ queues: [{ name: 'x' }] });
  await assert.rejects(namespace.create('queue', 'q', of), isFault('com.microsoft:argument-error'));
});

// Learn, message deferral: what is deferred expires when somebody asks for it, not by itself.
test('locked past its time a message expires once it is given back; deferred, once it is asked for', async () => {
  const clock = movedClock();
  const namespace = await namespaceOf(
    { queues: [{ name: 'q', deadLetteringOnMessageExpiration: true }] },
    { clock },
  );
  const { queue } = namespace.get('q');
  for (const kind of ['defer', 'abandon'] as const) {
    const taker = new Taker(1);
    queue.addConsumer(taker);
    const [n = 0] = queue.enqueue([content({ ttl: 1000 })]);
    clock.advance(5000);
    queue.removeConsumer(taker);
    queue.settle(taker.tokens[0] ?? '', { kind });
    clock.advance(60_000);
    assert.equal(queue.stock.size, kind === 'defer' ? 1 : 0, kind);
    if (kind === 'abandon') continue;
    assert.equal(queue.peek(0, 1).length, 1);
    assert.throws(
      () => queue.receiveDeferred([n], taker),
      isFault('com.microsoft:message-not-found'),
    );
    assert.equal(queue.stock.size, 0);
  }
  assert.equal(queue.deadLetters?.stock.size, 2);
});

test('a deferred message that is asked for twice at once is given once', async () => {
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] });
  const { queue } = namespace.get('q');
  const taker = new Taker(1);
  queue.addConsumer(taker);
  const [n = 0] = queue.enqueue([content()]);
  queue.settle(taker.tokens[0] ?? '', { kind: 'defer' });
  queue.receiveDeferred([n, n], taker);
  assert.equal(taker.taken.length, 2);
});

const holder = () => ({ ready: () => undefined, lost: () => undefined });

test('a deferred message is had by the holder of its own session only, and does not come back', async () => {
  const namespace = await namespaceOf({ queues: [{ name: 's', requiresSession: true }] });
  const { queue } = namespace.get('s');
  const { sessions } = queue;
  assert.ok(sessions);
  const [of, other] = [holder(), holder()];
  const session = sessions.accept('a', of);
  const taker = new Taker();
  const [n = 0] = queue.enqueue([content({ group_id: 'a' })]);
  queue.dispatchSession(session, of, taker);
  queue.settle(taker.last.lock?.token ?? '', { kind: 'defer' });
  const wrong = sessions.accept('b', other);
  assert.throws(
    () => queue.receiveDeferred([n], taker, wrong),
    isFault('com.microsoft:message-not-found'),
  );
  assert.throws(() => queue.receiveDeferred([n], taker), isFault('com.microsoft:argument-error'));
  queue.receiveDeferred([n], taker, session);
  queue.settle(taker.last.lock?.token ?? '', { kind: 'complete' });
  for (const each of [session, wrong]) sessions.release(each, each === session ? of : other);
  assert.deepEqual([queue.stock.size, queue.deadLetters?.stock.size], [0, 0]);
});

test('closing a session counts no delivery, however often; the end of its lock does', async () => {
  const clock = movedClock();
  const queues = [{ name: 's', requiresSession: true, maxDeliveryCount: 3, lockDuration: 'PT5S' }];
  const namespace = await namespaceOf({ queues }, { clock });
  const { queue } = namespace.get('s');
  queue.enqueue([content({ group_id: 'a' })]);
  const taker = new Taker();
  for (let n = 0; n < 5; n++) {
    const of = holder();
    const session = queue.sessions?.accept('a', of);
    assert.ok(session);
    queue.dispatchSession(session, of, taker);
    if (n < 4) queue.sessions?.release(session, of);
  }
  assert.equal(taker.last.deliveryCount, 0);
  clock.advance(6000);
  assert.equal(taker.last.deliveryCount, 1);
});

test('entities that were made and removed leave no records', async () => {
  const store = keptStore();
  const namespace = await namespaceOf({ queues: [{ name: 'declared' }] }, { store });
  for (let n = 0; n < 300; n++) {
    await namespace.create('queue', `q${n}`, { name: `q${n}` });
    await namespace.remove(`q${n}`);
  }
  await namespace.remove('declared');
  assert.deepEqual([...store.data.keys()], ['!entity/declared']);
});

test('two queues that forward dead letters to each other stop', async () => {
  const namespace = await namespaceOf({
    queues: [
      { name: 'a', maxDeliveryCount: 1, forwardDeadLetteredMessagesTo: 'b' },
      { name: 'b', maxDeliveryCount: 1, forwardDeadLetteredMessagesTo: 'a' },
    ],
  });
  const [a, b] = ['a', 'b'].map((name) => namespace.get(name).queue);
  a?.enqueue([content()]);
  let moves = 0;
  for (const queue of [a, b, a, b, a, b, a, b, a, b, a, b]) {
    const taker = new Taker(1);
    queue?.addConsumer(taker);
    queue?.removeConsumer(taker);
    if (taker.taken.length === 0) continue;
    moves++;
    queue?.settle(taker.tokens[0] ?? '', { kind: 'abandon' });
  }
  assert.equal(moves, 5);
});

test('a peek is bounded in bytes, and shows one at least', async () => {
  const namespace = await namespaceOf({ queues: [{ name: 'q' }] });
  const { queue } = namespace.get('q');
  for (let n = 0; n < 40; n++) queue.enqueue([content({ body: Buffer.alloc(250_000) })]);
  const peeked = queue.peek(0, 1000);
  assert.ok(peeked.length >= 4 && peeked.length <= 17, `${peeked.length} of 250 KB`);
});

test('an entity that nobody uses goes when its time is over', async () => {
  const [store, clock] = [keptStore(), movedClock()];
  const namespace = await namespaceOf({ queues: [] }, { store, clock });
  await namespace.create('queue', 'idle', { name: 'idle', autoDeleteOnIdle: 'PT5M' });
  const { queue } = namespace.get('idle');
  clock.advance(200_000);
  queue.enqueue([content()]);
  clock.advance(200_000);
  assert.ok(namespace.find('idle'), 'it was used meanwhile');
  const link = { gone: () => undefined };
  queue.links.add(link);
  clock.advance(400_000);
  assert.ok(namespace.find('idle'), 'somebody has a link to it');
  queue.links.delete(link);
  clock.advance(700_000);
  for (let n = 0; n < 5; n++) await turn();
  assert.equal(namespace.find('idle'), undefined);
});
