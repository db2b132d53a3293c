/** A batch of news as the host hands it to the app. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { toSignalMessage } from '#longhaul/model/job-signal.js';
import type { Working } from '#longhaul/run/attempt.js';
import { takeBatch } from '#longhaul/triggers/queues.js';

interface Meets {
  /** Jobs whose record cannot be read. */
  unreadable: readonly string[];
  storageIsThere?: boolean;
}

function taking({ unreadable, storageIsThere = true }: Meets) {
  const waited: number[] = [];
  const completed: unknown[] = [];
  const released: string[] = [];
  const stopping = new AbortController();
  const worker = {
    stopping: stopping.signal,
    log: () => undefined,
    clock: {
      now: () => new Date(0),
      after(ms: number, run: () => void) {
        waited.push(ms);
        // Nobody waits for ever for a storage that never comes.
        if (waited.length === 3) stopping.abort();
        setImmediate(run);
        return () => undefined;
      },
    },
    notes: {
      async read() {
        if (!storageIsThere) throw new Error('ECONNREFUSED');
      },
    },
    records: {
      async read(id: string) {
        if (unreadable.includes(id)) throw new Error(`the record of ${id}`);
        return undefined;
      },
    },
  } as unknown as Working;
  const messages = ['a', 'b', 'c'].map((id) => {
    const news = toSignalMessage('completions', id, { kind: 'cancel' }, ['cancel']);
    const { messageId, body, properties } = news;
    return { messageId, body, sessionId: 's', applicationProperties: properties };
  }) as unknown as ServiceBusReceivedMessage[];
  const actions = {
    complete: async ({ messageId }: ServiceBusReceivedMessage) => void completed.push(messageId),
    releaseSession: async (id: string) => void released.push(id),
  };
  const ids = messages.map(({ messageId }) => messageId);
  const taken = takeBatch(worker, 'completions', { messages, actions });
  return { taken, ids, completed, released, waited };
}

test('of a batch the news that fail come again, after a moment, and the others do not', async () => {
  const { taken, ids, completed, released, waited } = taking({ unreadable: ['b'] });
  await assert.rejects(taken, /the record of b/);
  assert.deepEqual(completed, [ids[0], ids[2]]);
  assert.deepEqual([released, waited], [['s'], [1_000]]);
});

test('a batch of which nothing fails is left to the host to complete', async () => {
  const { taken, completed, released } = taking({ unreadable: [] });
  await taken;
  assert.deepEqual([completed, released], [[], ['s']]);
});

test('a batch that fails as a whole holds up no other session for long, while storage is there', async () => {
  const { taken, completed, released, waited } = taking({ unreadable: ['a', 'b', 'c'] });
  await assert.rejects(taken, /the record of a/);
  assert.deepEqual([completed, released, waited], [[], ['s'], [1_000]]);
});

test('while storage is away nothing else could be taken: the batch is held', async () => {
  const unreadable = ['a', 'b', 'c'];
  const { taken, waited } = taking({ unreadable, storageIsThere: false });
  await assert.rejects(taken, /the record of a/);
  assert.deepEqual(waited, [1_000, 15_000, 15_000]);
});
