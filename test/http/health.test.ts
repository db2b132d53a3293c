import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atMostEvery } from '#longhaul/http/health.js';

/** A clock that the test moves. */
function clockOf() {
  let ms = 0;
  const timers = new Set<{ at: number; act: () => void }>();
  return {
    now: () => new Date(ms),
    after(delay: number, act: () => void) {
      const timer = { at: ms + delay, act };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    move(by: number) {
      ms += by;
      for (const timer of timers) if (timer.at <= ms && timers.delete(timer)) timer.act();
    },
  };
}

test('ready says what storage says now, and asks it no more often than each five seconds', async () => {
  const clock = clockOf();
  const lines: string[] = [];
  let asked = 0;
  let storage = (): Promise<unknown> => Promise.resolve();
  const silent = atMostEvery({
    clock,
    log: (_, line) => lines.push(line),
    needs: {
      storage: () => {
        asked++;
        return storage();
      },
      bus: () => Promise.resolve(),
    },
  });
  const isReady = async () => (await silent()).length === 0;
  assert.deepEqual(await Promise.all([isReady(), isReady()]), [true, true]);
  storage = () => Promise.reject(new Error('refused'));
  assert.deepEqual([await isReady(), asked], [true, 1]);
  clock.move(5_000);
  assert.deepEqual([await isReady(), asked], [false, 2]);
  storage = () => new Promise(() => undefined);
  clock.move(5_000);
  const hangs = isReady();
  await new Promise((resolve) => setImmediate(resolve));
  clock.move(2_000);
  assert.equal(await hangs, false);
  storage = () => Promise.resolve();
  clock.move(3_000);
  assert.equal(await isReady(), true);
  assert.deepEqual(lines, [
    'not ready: storage refuses: refused',
    'not ready: storage does not answer',
  ]);
});
