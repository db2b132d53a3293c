/** How messages go back that were not run to their end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Delivery, KeyValueStore } from '#longhaul/ports.js';
import { handBack, hold } from '#longhaul/run/hand-back.js';

/** A process whose timers ring at once, and storage that answers after so many looks. */
function holding({ answersAfter = 0 } = {}) {
  const waited: number[] = [];
  const stopping = new AbortController();
  let looks = 0;
  const clock = {
    now: () => new Date(0),
    after(ms: number, run: () => void) {
      waited.push(ms);
      setImmediate(run);
      return () => undefined;
    },
  };
  const read = async () => {
    if (++looks <= answersAfter) throw new Error('away');
    return undefined;
  };
  const notes = { read } as Partial<KeyValueStore> as KeyValueStore;
  const logged: string[] = [];
  const log = (_: string, message: string) => void logged.push(message);
  const worker = { clock, notes, log, stopping: stopping.signal };
  return { worker, waited, stopping, logged };
}

const fails = () => Promise.reject(new Error('ECONNRESET'));

test('what is handed back waits longer each time, and not at a shutdown', async () => {
  const { worker, waited, stopping } = holding();
  let backs = 0;
  const back = (deliveries?: number) => {
    const abandon = async () => void backs++;
    return handBack(worker, { message: { deliveries }, abandon } as unknown as Delivery);
  };
  for (const deliveries of [undefined, 1, 2, 3, 7, 30]) await back(deliveries);
  assert.deepEqual(waited, [1_000, 1_000, 2_000, 4_000, 60_000, 60_000]);
  stopping.abort();
  await back(5);
  assert.deepEqual([waited.length, backs], [6, 7]);
});

test('a message whose lock is gone goes back without an error', async () => {
  const { worker } = holding();
  await handBack(worker, { message: {}, abandon: fails } as unknown as Delivery);
});

describe('what was delivered while storage is away', () => {
  test('is held until storage answers', async () => {
    const { worker, waited, logged } = holding({ answersAfter: 3 });
    await assert.rejects(hold(worker, 'standard m-1', fails), /ECONNRESET/);
    // Soon for the first time: others wait behind it.
    assert.deepEqual(waited, [1_000, 15_000, 15_000, 15_000]);
    assert.deepEqual(logged, ['standard m-1: handed back: ECONNRESET']);
  });

  test('is held for ten minutes at most', async () => {
    const { worker, waited } = holding({ answersAfter: 1_000 });
    await assert.rejects(hold(worker, 'm', fails));
    assert.equal(waited.length, 41);
  });

  test('is not held at a shutdown', async () => {
    const { worker, waited, stopping } = holding({ answersAfter: 1_000 });
    const held = hold(worker, 'm', fails);
    setImmediate(() => stopping.abort());
    await assert.rejects(held);
    assert.ok(waited.length <= 2, `${waited.length} times`);
  });

  test('and what is done goes on at once', async () => {
    const { worker, waited } = holding();
    await hold(worker, 'm', async () => undefined);
    assert.deepEqual(waited, []);
  });
});
