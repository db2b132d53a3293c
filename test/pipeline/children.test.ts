/** Groups of children: how many, whose, how they are sent, what is told of their failure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { submit } from '#longhaul/admit/submit.js';
import { Checkpoint } from '#longhaul/handler/checkpoint.js';
import { Lease } from '#longhaul/record/lease.js';
import { beginGroup } from '#longhaul/wait/children.js';
import { type AnyJob, typeOf } from './world/one-job.ts';
import { World } from './world/world.ts';

type Handler = (job: AnyJob, child: ReturnType<typeof typeOf>) => Promise<unknown>;

async function family(handler: Handler, ofChild: Parameters<typeof typeOf>[0] = async () => 1) {
  const child = typeOf(ofChild, { attempts: 1 }, 'child');
  const parent = typeOf((job) => handler(job, child), { attempts: 2 });
  const world = new World([child, parent]);
  const { record } = await submit(world.app(), parent.with({}, { requestedBy: 'ada' }));
  const now = () => world.record(record.id);
  return { world, id: record.id, now };
}

test('a group has 50,000 children at most', async () => {
  const { world, id } = await family(async () => 1);
  const app = world.app();
  const run = () => {
    const lease = new Lease(app, { record: { ...record }, etag: stored?.etag }, 'me');
    return Checkpoint.load(lease, app.blobs).then((checkpoint) => ({ app, lease, checkpoint }));
  };
  const stored = await app.records.read(id);
  assert.ok(stored);
  const { record } = stored;
  await assert.rejects(beginGroup(await run(), 'too many', 50_001, false), /50000 is the most/);
  assert.equal((await beginGroup(await run(), 'many', 50_000, false)).of, 50_000);
});

test('a group that has another number of children in a later run is an error', async () => {
  const { world, now } = await family(async (job, child) => {
    const count = (world.record(job.id)?.turn ?? 1) === 1 ? 2 : 3;
    return job.children(
      'parts',
      Array.from({ length: count }, () => child.with({})),
    );
  });
  await world.run(() => 0);
  assert.equal(now()?.error?.code, 'step_changed');
  assert.match(now()?.error?.message ?? '', /had 2 children and has 3 now/);
});

test('children are asked for by whoever asked for their parent, or by whom the request names', async () => {
  const { world, id } = await family((job, child) =>
    job.children('parts', [child.with({}), child.with({}, { requestedBy: 'bob' })]),
  );
  await world.run(() => 0);
  const children = world.records.filter(({ parent }) => parent === id);
  assert.deepEqual(children.map(({ requestedBy }) => requestedBy).sort(), ['ada', 'bob']);
});

test('with a limit they lie in so many sessions of one line, without one in the plain queue', async () => {
  const { world, now } = await family(async (job, child) => {
    const five = Array.from({ length: 5 }, () => child.with({}));
    await job.children('limited', five, { limit: 2 });
    return job.children('free', five);
  });
  const queues: string[] = [];
  const send = world.bus.send.bind(world.bus);
  world.bus.send = (message) => {
    if (message.properties['type'] === 'child' && message.queue !== 'completions')
      queues.push(
        `${message.queue} ${message.sessionId?.replace(/children:[\w-]+/, 'line') ?? ''}`,
      );
    send(message);
  };
  await world.run(() => 0);
  assert.equal(now()?.state, 'succeeded');
  const [line, other] = ['standard-keyed line', 'standard-keyed line~1'];
  assert.deepEqual(queues.slice(0, 5), [line, other, line, other, line]);
  assert.deepEqual(queues.slice(5), Array(5).fill('standard '));
});

test('a send that fails is no fault of the child: the parent goes on when the bus is back', async () => {
  const { world, now } = await family((job, child) => job.children('parts', [child.with({})]));
  const send = world.bus.send.bind(world.bus);
  let failing = 3;
  world.bus.send = (message) => {
    if (message.properties['type'] === 'child' && failing-- > 0) throw new Error('ECONNRESET');
    send(message);
  };
  await world.run(() => 0);
  assert.deepEqual([now()?.state, now()?.attempt], ['succeeded', 1]);
});

test('the error of a failed child says which, and has its error as cause', async () => {
  const { world, now } = await family(
    (job, child) => job.children('parts', [child.with({})]),
    async () => {
      throw new RangeError('too far');
    },
  );
  await world.run(() => 0);
  const { error } = now() ?? {};
  assert.deepEqual(
    [error?.code, error?.cause?.name, error?.cause?.message],
    [...['child_failed', 'RangeError', 'too far']],
  );
  assert.match(error?.message ?? '', /^Child 0 of 'parts' ended as failed: job '\w+'/);
});

test('settled, they give results and errors in the order of the requests', async () => {
  const { world, now } = await family(
    async (job, child) => {
      const ended = await job.childrenSettled('parts', [
        child.with({ n: 1 }),
        child.with({ n: 2 }, { requestedBy: 'bad' }),
        child.with({ n: 3 }),
      ]);
      await job.sleep('1m');
      return ended.map((one) => (one.ok ? 'ok' : one.error.message.replace(/'\w{24}'/, 'it')));
    },
    async (job) => {
      if (job.requester.requestedBy === 'bad') throw new Error('no');
      return 1;
    },
  );
  await world.run(() => 0);
  const { result } = now() ?? {};
  assert.deepEqual(result, {
    json: JSON.stringify([
      'ok',
      "Child 1 of 'parts' ended as failed: job it. Use childrenSettled for children that may fail.",
      'ok',
    ]),
  });
});

test('who names a parent and is none of its children runs all the same', async () => {
  const { world, id, now } = await family(async () => {
    throw new Error('for good');
  });
  await world.run(() => 0);
  assert.equal(now()?.state, 'failed');
  const message = { queue: 'standard', contentType: 'application/json', body: Buffer.from('{}') };
  world.bus.send({ ...message, messageId: 'a', properties: { type: 'child', parent: id } });
  world.bus.send({ ...message, messageId: 'b', properties: { type: 'child', place: '0:parts' } });
  await world.run(() => 0);
  for (const name of ['a', 'b']) assert.equal(world.record(name)?.state, 'succeeded');
});
