/** What a handler logs is kept with its job, and harms nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { logBlob } from '#longhaul/model/names.js';
import { readLines } from '#longhaul/record/log-lines.js';
import { type Ran, run, start } from './world/one-job.ts';

const linesOf = ({ world, id }: Ran, after = 0, limit = 1000) =>
  readLines(world.app().blobs, id, after, limit);

/** Counts what is added to blobs. */
function counted(ran: Ran): { appends: number } {
  const count = { appends: 0 };
  const { blobsFor } = ran.world.stores;
  ran.world.stores.blobsFor = function (this: typeof ran.world.stores, call) {
    const blobs = blobsFor.call(this, call);
    const append: typeof blobs.append = (...args) => {
      count.appends++;
      return blobs.append(...args);
    };
    return { ...blobs, append };
  };
  return count;
}

test('lines have a level, a time, their attempt and fields, in the order in which they were said', async () => {
  const ran = await run(async (job) => {
    job.log('plain');
    job.log.info('with fields', { rows: 3, big: 7n, error: new Error('no') });
    job.log.warn('slow');
    if (job.attempt === 1) throw new Error('Again');
    job.log.error('bad');
  });
  const { lines } = await linesOf(ran);
  assert.deepEqual(
    lines.map(({ level, message, attempt }) => `${attempt} ${level} ${message}`),
    [
      ...['1 info plain', '1 info with fields', '1 warn slow'],
      ...['2 info plain', '2 info with fields', '2 warn slow', '2 error bad'],
    ],
  );
  assert.deepEqual(lines[1]?.fields, { rows: 3, big: '7', error: 'Error: no' });
  assert.equal(lines[0]?.at, '2026-11-21T12:00:00.000Z');
  assert.ok(
    ran.world.logged.some((line) => line === `job ${ran.id}: plain`),
    'and in the app log',
  );
});

test('nothing is written when nothing is logged, and a run writes its lines at once', async () => {
  const quiet = await start(async () => 1);
  const none = counted(quiet);
  await quiet.rest();
  assert.equal(none.appends, 0);
  const chatty = await start(async (job) => {
    for (let n = 0; n < 500; n++) job.log(`line ${n}`);
  });
  const one = counted(chatty);
  await chatty.rest();
  assert.equal(one.appends, 1);
  assert.equal((await linesOf(chatty)).lines.length, 500);
});

test('a page goes on where the one before ended, also with what came since', async () => {
  const ran = await run(async (job) => {
    for (let n = 0; n < 5; n++) job.log(`${job.attempt}.${n} é`);
    await job.sleep('1m');
  });
  const said: string[] = [];
  let after = 0;
  for (let pages = 0; pages < 5; pages++) {
    const page = await linesOf(ran, after, 3);
    said.push(...page.lines.map(({ message }) => message));
    after = page.after;
  }
  assert.equal(said.length, 10, 'code before a wait runs again, and says it again');
  assert.deepEqual(await linesOf(ran, after, 3), { lines: [], after });
  await assert.rejects(linesOf(ran, 3), { code: 'bad_request' });
});

describe('a log that cannot be written', () => {
  const logging = (ran: Ran, append: () => Promise<number | undefined>) => {
    const { blobsFor } = ran.world.stores;
    ran.world.stores.blobsFor = function (this: typeof ran.world.stores, call) {
      return { ...blobsFor.call(this, call), append };
    };
  };

  test('fails no job', async () => {
    const ran = await start(async (job) => job.log('lost'));
    logging(ran, () => Promise.reject(new Error('away')));
    await ran.rest();
    assert.deepEqual([ran.record().state, ran.record().attempt], ['succeeded', 1]);
    assert.ok(ran.world.logged.some((line) => line.includes('lines of its log are lost')));
  });

  test('holds up no job for more than a second', async () => {
    const ran = await start(async (job) => job.log('lost'));
    logging(ran, () => new Promise(() => undefined));
    const before = ran.world.now;
    await ran.rest();
    assert.equal(ran.record().state, 'succeeded');
    assert.ok(ran.world.now - before <= 1_000);
  });
});

test('at a megabyte it says that the rest is left out, and goes with the job', async () => {
  const ran = await run(async (job) => {
    for (let n = 0; n < 3_000; n++) job.log('x'.repeat(1_000));
  });
  const blob = ran.world.stores.blobs.get(logBlob(ran.id));
  assert.ok(blob && blob.length > 1_000_000 && blob.length <= 1024 * 1024, `${blob?.length}`);
  assert.match(blob.toString().trim().split('\n').at(-1) ?? '', /what follows is left out/);
  ran.world.now += 8 * 86_400_000;
  await ran.world.removeExpired(true);
  assert.deepEqual([...ran.world.stores.blobs.keys()], []);
});
