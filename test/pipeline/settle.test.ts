/** What follows from a decided record beyond its sends: who hears of it, and what is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueueNotFoundError } from '#longhaul/errors.js';
import { sendAll } from '#longhaul/fate/settle.js';
import type { OutgoingMessage } from '#longhaul/model/message.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { type Handler, start } from './world/one-job.ts';
import { tamper } from './world/tamper.ts';

async function heard(handler: Handler, attempts = 2) {
  const ran = await start(handler, { attempts }, { options: { requestedBy: 'ada' } });
  const events: string[] = [];
  tamper(ran, () => ({ notify: (event) => void events.push(event) }));
  return { ran, events };
}

const told = ({ world }: { world: { stores: { notes: Map<string, string> } } }) =>
  [...world.stores.notes].flatMap(([name, value]) =>
    name.startsWith('ended ') ? [(JSON.parse(value) as { state: string }).state] : [],
  );

test('each turn of a job is told to who listens', async () => {
  const { ran, events } = await heard(async (job) => {
    await job.sleep('1m');
    throw new Error('no');
  });
  await ran.rest();
  assert.deepEqual(events, ['started', 'retried', 'started', 'failed', 'dead-lettered']);
  assert.deepEqual(told(ran), ['failed']);
});

test('a job that succeeds is told as that, and is no dead letter', async () => {
  const { ran, events } = await heard(async () => 1);
  await ran.rest();
  assert.deepEqual(events, ['started', 'succeeded']);
  assert.deepEqual(told(ran), ['succeeded']);
});

test('a job that is cancelled before its start is told by who cancels it', async () => {
  const { ran, events } = await heard(async () => 1);
  await cancel(ran.world.app(), ran.id);
  assert.deepEqual([events, told(ran)], [['cancelled'], ['cancelled']]);
});

test('of a type that keeps no input it is kept while a job waits, failed or has steps to undo', async () => {
  const kept: Record<string, boolean> = {};
  const look = async (name: string, handler: Handler) => {
    const ran = await start(handler, {
      keepInput: false,
      attempts: 2,
      backoff: { initial: '1h', jitter: false },
    });
    const { world } = ran;
    const { send } = world.bus;
    world.bus.send = function (this: typeof world.bus, message) {
      kept[`${name} ${ran.record().state}`] = ran.record().input !== undefined;
      send.call(this, message);
    };
    await ran.rest();
    kept[`${name} ${ran.record().state}`] = ran.record().input !== undefined;
  };
  const undo = async () => undefined;
  await look('returns', async () => 1);
  await look('waits', (job) => job.sleep('1m'));
  await look('fails', async () => {
    throw new Error('no');
  });
  await look('undoes', async (job) => {
    await job.step('a', async () => 1, { undo });
    throw new Error('no');
  });
  assert.deepEqual(kept, {
    'returns succeeded': false,
    'waits waiting': true,
    'waits queued': true,
    'waits succeeded': false,
    'fails queued': false,
    'fails failed': true,
    'undoes queued': true,
    'undoes failed': true,
  });
});

test('a reply that nobody can take is dropped, what a job goes on with is not', async () => {
  const ran = await start(async () => 1);
  const app = ran.world.app();
  app.queue.send = (message) => Promise.reject(new QueueNotFoundError(message.queue));
  const message = (queue: string): OutgoingMessage => ({
    ...{ queue, messageId: 'm', contentType: 'text/plain', body: Buffer.alloc(0) },
    properties: {},
  });
  await sendAll(app, [message('elsewhere')]);
  assert.match(ran.world.logged.at(-1) ?? '', /no queue 'elsewhere'\. The message is dropped/);
  for (const queue of ['completions', 'standard', 'bulk-keyed'])
    await assert.rejects(sendAll(app, [message(queue)]), QueueNotFoundError, queue);
});
