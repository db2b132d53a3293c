/** What a third look at the promises found. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { NonRetryableError } from '#longhaul/errors.js';
import type { OutgoingMessage } from '#longhaul/model/message.js';
import { execute } from '#longhaul/run/execute.js';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { run, start, typeOf } from './world/one-job.ts';
import { tamper } from './world/tamper.ts';
import { World } from './world/world.ts';

test('at a shutdown a handler that catches the abort of a call has not succeeded: an AbortError is one too', async () => {
  const stopping = new AbortController();
  const ran = await start((job) =>
    job
      .step('mail', async () => {
        setTimeout(() => stopping.abort(), 1);
        // As docs/writing-jobs.md says: "give it … to `setTimeout` of `node:timers/promises`".
        return delay(10_000, 'mailed', { signal: job.signal });
      })
      .catch(() => 'not mailed'),
  );
  let isFirst = true;
  tamper(ran, () => {
    const first = isFirst;
    isFirst = false;
    return first ? { stopping: stopping.signal } : {};
  });
  const job = ran.world.bus.all('standard')[0];
  assert.ok(job);
  await execute(ran.world.app(), {
    message: { ...job, sequence: '1', enqueuedAt: new Date(ran.world.now) },
    complete: async () => undefined,
    abandon: async () => undefined,
    deadLetter: async () => undefined,
  });
  assert.notEqual(ran.record().state, 'succeeded', JSON.stringify(ran.record().result));
});

describe('the state of a key', () => {
  test('an attempt that fails leaves nothing, also when storage was away as it ended', async () => {
    const type = defineJob({
      type: 'sum',
      input: z.object({ n: z.number() }),
      key: () => 'k',
      attempts: 1,
      timeout: '30s',
      async run({ n }, job) {
        const before = (await job.session.get<number>()) ?? 0;
        await job.session.set(before + n);
        return before;
      },
    });
    const world = new World([type]);
    const first = await submit(world.app(), type.with({ n: 10 }));
    const second = await submit(world.app(), type.with({ n: 1 }));
    const { now } = world;
    tamper({ world }, ({ records }) => ({
      records: {
        ...records,
        write: async (record, etag) => {
          if (world.now < now + 40_000) throw new Error('ECONNRESET');
          return records.write(record, etag);
        },
      },
    }));
    await world.run(() => 0);
    assert.equal(world.record(first.record.id)?.state, 'failed');
    assert.deepEqual(world.record(second.record.id)?.result, { json: '0' });
  });

  test('a run that returns without setting it leaves what was there, also after one that died', async () => {
    const bad: string[] = [];
    for (let at = 1; at < 12; at++) {
      let runs = 0;
      let call = 0;
      const type = defineJob({
        type: 'keyed',
        input: z.object({ n: z.number() }),
        key: () => 'k',
        async run({ n }, job) {
          const before = (await job.session.get<number>()) ?? 0;
          // In its second run the quota is used up by somebody else, and it sets nothing.
          if (n === 1 && runs++ === 0) await job.session.set(before + 1);
          return before;
        },
      });
      const world = new World([type], () => (++call === at ? 'dies after' : 'none'));
      await submit(world.app(), type.with({ n: 1 }));
      const { record } = await submit(world.app(), type.with({ n: 2 }));
      await world.run(() => 0);
      const result = JSON.stringify(world.record(record.id)?.result);
      if (runs === 2 && result !== '{"json":"0"}') bad.push(`died after call ${at}: ${result}`);
    }
    assert.deepEqual(bad, []);
  });
});

test('a second copy of a woken job’s message does not make two workers take the job from each other', async () => {
  let runs = 0;
  const slow = typeOf((job) => job.sleep('3h'), {}, 'slow');
  const quick = typeOf(async () => 1, {}, 'quick');
  const parent = typeOf(async (job) => {
    await Promise.race([
      job.children('quick', [quick.with({})]),
      job.childrenSettled('slow', [slow.with({}), slow.with({})]),
    ]);
    await job.step('two minutes', async () => {
      runs++;
      await delay(120, undefined, { signal: job.signal });
      return 1;
    });
    return 1;
  });
  const world = new World([slow, quick, parent]);
  const { record } = await submit(world.app(), parent.with({}));
  const { bus } = world;
  const ready = bus.ready.bind(bus);
  // The lane is full for hours: the parent that was woken waits for its place, as more news come.
  bus.ready = (batched) =>
    ready(batched).filter(([one]) => {
      const { properties, messageId } = one?.message ?? {};
      return properties?.['type'] !== 'test' || messageId === record.id;
    });
  await world.run(() => 0);
  assert.equal(world.record(record.id)?.state, 'queued');
  const copies = bus.all('standard').filter(({ properties }) => properties['type'] === 'test');
  const began = Date.now();
  const clock = {
    // A second takes a millisecond.
    now: () => new Date(world.now + (Date.now() - began) * 1000),
    after: (ms: number, act: () => void) => {
      const timer = setTimeout(act, ms / 1000);
      return () => clearTimeout(timer);
    },
  };
  const app = { ...world.app(), clock };
  const deliver = async (message: OutgoingMessage, copy: number) => {
    let isSettled = false;
    const settle = async () => {
      isSettled = true;
    };
    for (let n = 1; n <= 10; n++) {
      await execute(app, {
        message: { ...message, sequence: `${copy}`, enqueuedAt: new Date(world.now) },
        complete: settle,
        deadLetter: settle,
        abandon: async () => undefined,
      });
      if (isSettled) return `settled after ${n} deliveries`;
    }
    return 'a dead letter after 10 deliveries';
  };
  const ended = await Promise.all(copies.map(deliver));
  assert.ok(runs <= 2, `${copies.length} copies: ${ended.join(', ')}; the step ran ${runs} times`);
});

describe('started again by hand', () => {
  test('a job whose event comes this time goes the other way: no code has changed', async () => {
    const ran = await start(async (job) => {
      const way = await job.event('a', { timeout: '1h' }).then(
        () => 'came',
        () => 'late',
      );
      if (way === 'late') {
        await job.step('tell the boss', async () => 1);
        throw new NonRetryableError('nobody approved');
      }
      return job.step('pay', async () => way);
    });
    await ran.rest();
    assert.equal(ran.record().state, 'failed');
    await retry(ran.world.app(), ran.id);
    await tellEvent(ran.world.app(), ran.id, 'a', { n: 1 });
    await ran.rest();
    assert.equal(ran.record().state, 'succeeded', ran.record().error?.message);
  });

  test('groups of children of which one failed are sent out anew: settled ones too', async () => {
    let broken = true;
    const child = typeOf(
      async () => {
        if (broken) throw new Error('bad');
        return 1;
      },
      { attempts: 1 },
      'child',
    );
    const parent = typeOf(
      async (job) => {
        const all = await job.childrenSettled('m', [child.with({}), child.with({})]);
        if (all.some(({ ok }) => !ok)) throw new Error('not all');
        return 1;
      },
      { attempts: 1 },
    );
    const world = new World([child, parent]);
    const { record } = await submit(world.app(), parent.with({}));
    await world.run(() => 0);
    broken = false;
    await retry(world.app(), record.id);
    await world.run(() => 0);
    const { state, error } = world.record(record.id) ?? {};
    assert.equal(state, 'succeeded', error?.message);
  });
});

test('a failed attempt is tried again: another job of the key changed the state meanwhile, and no code', async () => {
  const type = typeOf(
    async (job) => {
      const isKnown = await job.session.get<boolean>();
      await (isKnown ? job.step('update', async () => 1) : job.step('create', async () => 1));
      await job.session.set(true);
      if (job.attempt === 1) throw new Error('a blip');
      return 1;
    },
    { key: () => 'k', backoff: { initial: '10m', jitter: false } },
  );
  const world = new World([type]);
  const ids: string[] = [];
  for (let n = 0; n < 2; n++) ids.push((await submit(world.app(), type.with({}))).record.id);
  await world.run(() => 0);
  const ends = ids.map((id) => world.record(id)?.error?.message ?? world.record(id)?.state);
  assert.deepEqual(ends, ['succeeded', 'succeeded']);
});

describe('storage that fails for a moment costs no attempt and fails no job', () => {
  test('as a file is written', async () => {
    const bad: string[] = [];
    for (let at = 1; at < 8; at++) {
      let call = 0;
      const ran = await start(
        (job) => job.files.write('a.txt', 'a'),
        { attempts: 1 },
        { trouble: () => (++call === at ? 'fails before' : 'none') },
      );
      await ran.rest();
      if (ran.record().state !== 'succeeded')
        bad.push(`call ${at}: ${ran.record().error?.message}`);
    }
    assert.deepEqual(bad, []);
  });

  test('as the inbox is read', async () => {
    const ran = await start(async (job) => (await job.files.readInbox('a')).length, {
      attempts: 1,
    });
    ran.world.stores.inbox.set('a', Buffer.from('a'));
    let fails = true;
    tamper(ran, ({ blobs }) => ({
      blobs: {
        ...blobs,
        readInbox: async (name) => {
          if (!fails) return blobs.readInbox(name);
          fails = false;
          throw new Error('ECONNRESET');
        },
      },
    }));
    await ran.rest();
    assert.equal(ran.record().state, 'succeeded', ran.record().error?.message);
  });
});

describe('what is no fault of storage is not held and handed back ten times', () => {
  test('a timeout as children are sent is an attempt that timed out', async () => {
    const child = typeOf(async () => 1, {}, 'child');
    const requests = Array.from({ length: 502 }, () => child.with({}));
    const parent = typeOf((job) => job.children('m', requests), { timeout: '1m', attempts: 1 });
    const world = new World([child, parent]);
    const { record } = await submit(world.app(), parent.with({}));
    const { now } = world;
    tamper({ world }, (app) => ({
      queue: {
        ...app.queue,
        send: async (message) => {
          // The bus is slow for a while.
          if (message.properties['type'] === 'child' && world.now < now + 60_000)
            await new Promise<void>((resolve) => void app.clock.after(61_000, resolve));
          return app.queue.send(message);
        },
      },
    }));
    await world.run(() => 0);
    const why = [world.record(record.id)?.state, ...world.logged.slice(0, 1)].join(': ');
    assert.equal(world.record(record.id)?.error?.code, 'timeout', why);
  });

  test('a key function of a child that throws fails its parent by what it threw', async () => {
    const key = () => {
      throw new TypeError('x is undefined');
    };
    const child = typeOf(async () => 1, { key }, 'child');
    const parent = typeOf((job) => job.children('m', [child.with({})]), { attempts: 2 });
    const world = new World([child, parent]);
    const { record } = await submit(world.app(), parent.with({}));
    await world.run(() => 0);
    assert.match(world.record(record.id)?.error?.message ?? '', /x is undefined/);
  });

  test('a message whose input makes the schema throw fails with invalid_input', async () => {
    const type = defineJob({
      type: 'parse',
      input: z.object({ rows: z.string().transform((text) => JSON.parse(text) as string[]) }),
      run: async () => 1,
    });
    const world = new World([type]);
    world.bus.send({
      ...{ queue: 'standard', messageId: 'x', contentType: 'application/json' },
      body: Buffer.from('{"rows":"[1,"}'),
      properties: { type: 'parse' },
    });
    await world.run(() => 0);
    const { code, message } = world.record('x')?.error ?? {};
    assert.equal(code, 'invalid_input', message);
  });
});

test('what is begun after the attempt has ended is refused: the inbox too', async () => {
  let late: () => Promise<unknown> = async () => undefined;
  await run(async (job) => {
    late = () => job.files.readInbox('x');
    return 1;
  });
  await assert.rejects(late());
});

test('an event that the type does not declare is refused, whatever its name', async () => {
  const ran = await run((job) => job.event('constructor' as 'a', { timeout: '1h' }), {
    attempts: 1,
  });
  assert.match(ran.record().error?.message ?? '', /is not among/);
});
