import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConcurrencyLimiter, type Place } from '#longhaul/run/concurrency-limiter.js';

const lanes = [{ name: 'urgent' }, { name: 'standard' }];

/** A limiter whose clock moves when it is told to, and who came in, in order. */
function limiter(places: number) {
  const timers = new Set<{ ms: number; run: () => void }>();
  const clock = {
    now: () => new Date(0),
    after(ms: number, run: () => void) {
      const timer = { ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  const it = new ConcurrencyLimiter(places, lanes, clock);
  const stopping = new AbortController();
  const inside = new Map<string, Place>();
  const order: string[] = [];
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return {
    inside,
    order,
    stopping,
    timers,
    async enter(name: string, lane = 'standard', company?: number) {
      void it.enter(lane, stopping.signal, company).then((place) => {
        order.push(place ? name : `no ${name}`);
        if (place) inside.set(name, place);
      });
      await settled();
    },
    async leave(name: string) {
      inside.get(name)?.leave();
      inside.delete(name);
      await settled();
    },
    async minute() {
      for (const { run } of timers) run();
      await settled();
    },
  };
}

test('when all places are taken, the earlier lane comes first', async () => {
  const { enter, leave, order } = limiter(1);
  for (const [name, lane] of [['a'], ['b'], ['c', 'urgent'], ['d']] as const)
    await enter(name, lane);
  for (const name of ['a', 'c', 'b', 'd']) await leave(name);
  assert.deepEqual(order, ['a', 'c', 'b', 'd']);
});

test('who is to be alone waits for the others, and nobody comes in beside it', async () => {
  const { enter, leave, order, inside } = limiter(8);
  await enter('a');
  await enter('b');
  await enter('alone', 'standard', 1);
  await enter('c', 'urgent');
  assert.deepEqual(order, ['a', 'b'], 'it empties');
  await leave('a');
  await leave('b');
  assert.deepEqual(order, ['a', 'b', 'alone']);
  assert.equal(inside.get('alone')?.isAlone, true);
  await leave('alone');
  assert.deepEqual(order, ['a', 'b', 'alone', 'c']);
  assert.equal(inside.get('c')?.isAlone, false);
  await enter('d');
  assert.equal(order.at(-1), 'd', 'the others run beside each other again');
});

test('who may have little company has no more of it', async () => {
  const { enter, leave, order } = limiter(8);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await enter(name, 'standard', 4);
  assert.deepEqual(order, ['a', 'b', 'c', 'd']);
  await enter('f');
  await leave('a');
  assert.deepEqual(order.slice(4), ['e']);
  for (const name of ['b', 'c', 'd', 'e']) await leave(name);
  assert.deepEqual(order.slice(4), ['e', 'f']);
});

test('after a minute it takes what company there is, and is not alone', async () => {
  const { enter, leave, minute, order, inside, timers } = limiter(3);
  await enter('long');
  await enter('alone', 'standard', 1);
  await enter('next');
  assert.deepEqual(order, ['long']);
  await minute();
  assert.deepEqual(order, ['long', 'next', 'alone']);
  assert.equal(inside.get('alone')?.isAlone, false);
  assert.equal(timers.size, 0);
  await leave('long');
});

test('at a shutdown nobody waits any more', async () => {
  const { enter, order, stopping, timers } = limiter(1);
  await enter('a');
  await enter('b');
  await enter('c', 'urgent', 1);
  stopping.abort();
  await enter('d');
  assert.deepEqual(order, ['a', 'no b', 'no c', 'no d']);
  assert.equal(timers.size, 0);
});
