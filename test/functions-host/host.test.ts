import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { BlobServiceClient } from '@azure/storage-blob';
import { freePorts } from '#dev/stack/ports.js';
import { startChild } from '#service-bus/child.js';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
const call = (path: string, init?: RequestInit) => fetch(`${stack.url}/api/${path}`, init);
type Note = Record<string, unknown> & { what: string };
const notes = async (what: string) =>
  ((await (await call('notes')).json()) as Note[]).filter((note) => note.what === what);
const send = (queue: string, messages: object[]) =>
  call(`send/${queue}`, { method: 'POST', body: JSON.stringify(messages) });

before(async () => {
  stack = await testStack({
    main: 'dist/test/support/host-app.js',
    settings: {
      PLAIN_QUEUE: 'standard',
      TICK: '*/1 * * * * *',
      'AzureWebJobs.disabled.Disabled': 'true',
    },
  });
});
after(() => stack?.remove());

test('HTTP: route parameters, query, headers and body arrive; status and headers come back', async () => {
  const response = await call('hello/a%20b?q=1', {
    method: 'POST',
    body: 'text',
    headers: { 'x-test': 't' },
  });
  assert.equal(response.headers.get('x-answer'), 'yes');
  assert.deepEqual(await response.json(), { name: 'a b', query: '1', header: 't', body: 'text' });
});

test('HTTP: another method or an unknown path gets 404', async () => {
  assert.equal((await call('hello/x', { method: 'DELETE' })).status, 404);
  assert.equal((await call('nowhere')).status, 404);
});

test('HTTP: a function that throws gives 500 and the host goes on', async () => {
  assert.equal((await call('throws')).status, 500);
  assert.equal((await call('hello/x')).status, 200);
});

test('HTTP: a streamed response arrives in parts', async () => {
  const response = await call('stream');
  const parts: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) parts.push(decoder.decode(chunk as Uint8Array));
  assert.equal(parts.join(''), 'one two three');
  assert.ok(parts.length > 1, 'it came in one piece');
});

test('a function that is disabled is not there', async () => {
  assert.equal((await call('disabled')).status, 404);
  assert.ok(!stack.functions.includes('disabled'));
});

test('Service Bus: a message is completed on return, its queue named by a setting', async () => {
  await send('standard', [{ body: { n: 1 }, messageId: 'm-1' }]);
  const [note] = await until('the message', async () => {
    const found = await notes('plain');
    return found.length > 0 && found;
  });
  assert.deepEqual(note?.['body'], { n: 1 });
  assert.equal(note?.['messageId'], 'm-1');
});

test('Service Bus: a message whose function throws comes again', async () => {
  await send('standard', [{ body: { fail: true }, messageId: 'm-2' }]);
  const counts = await until('three deliveries', async () => {
    const found = (await notes('plain')).filter(({ messageId }) => messageId === 'm-2');
    return found.length >= 3 && found.map(({ deliveryCount }) => deliveryCount);
  });
  assert.deepEqual(counts.slice(0, 3), [1, 2, 3]);
});

test('Service Bus: cardinality many gets batches', async () => {
  await send(
    'bulk',
    Array.from({ length: 20 }, (_, n) => ({ body: n })),
  );
  await until('all twenty', async () => {
    const counts = (await notes('many')).map(({ count }) => Number(count));
    return counts.reduce((sum, n) => sum + n, 0) === 20;
  });
});

test('Service Bus: sessions are served in order', async () => {
  const messages = Array.from({ length: 6 }, (_, n) => ({ body: n, sessionId: `s${n % 2}` }));
  await send('standard-keyed', messages);
  const found = await until('all six', async () => {
    const all = await notes('session');
    return all.length === 6 && all;
  });
  for (const id of ['s0', 's1']) {
    const bodies = found.filter(({ session }) => session === id).map(({ body }) => Number(body));
    assert.deepEqual(bodies, [...bodies].sort());
    assert.equal(bodies.length, 3);
  }
});

test('Service Bus: with SDK binding the count of deliveries comes with the trigger metadata', async () => {
  await send('urgent-keyed', [{ body: { fail: true }, messageId: 'm-3', sessionId: 's' }]);
  const counts = await until('two deliveries', async () => {
    const found = await notes('bound');
    return found.length >= 2 && found.map(({ deliveryCount }) => deliveryCount);
  });
  assert.deepEqual(counts, [1, 2]);
});

test('Service Bus: batches of sessions come one session at a time', async () => {
  const sessions = Array.from({ length: 4 }, (_, n) => ({ body: n, sessionId: `b${n}` }));
  await send('bulk-keyed', sessions);
  const whats = await until('four batches', async () => {
    const found = (await (await call('notes')).json()) as Note[];
    const batches = found.map(({ what }) => what).filter((what) => what.startsWith('batch'));
    return batches.length === 8 && batches;
  });
  assert.deepEqual(whats, Array(4).fill(['batch begins', 'batch ends']).flat());
});

test('Service Bus: two queues with one session id at once: the first answers, the second is lost', async () => {
  const lasting = (ms: number) => [{ body: { ms }, sessionId: 'same' }];
  await send('urgent-keyed', lasting(3_000));
  await until('the first', async () => (await notes('bound')).some(({ ms }) => ms === 3_000));
  await send('heavy-keyed', lasting(5_000));
  const states = await until('both', async () => {
    const found = (await notes('state')).slice(-2);
    return found.at(-1)?.['ms'] === 5_000 && found;
  });
  assert.deepEqual(
    states.map(({ queueName, state }) => [queueName, state]),
    [
      ['urgent-keyed', 'urgent-keyed'],
      ['heavy-keyed', 'lost'],
    ],
  );
});

test('HTTP: a stream does not learn that its client left', async () => {
  const leaving = new AbortController();
  const response = await call('endless', { signal: leaving.signal });
  await response.body?.getReader().read();
  leaving.abort();
  const before = (await notes('pulled')).length;
  await until('it to go on', async () => (await notes('pulled')).length > before + 5);
  assert.deepEqual(await notes('cancelled'), []);
});

test('timers run by NCRONTAB with seconds', async () => {
  const ticks = await until('two ticks', async () => {
    const found = await notes('tick');
    return found.length >= 2 && found;
  });
  assert.equal(ticks[0]?.['isPastDue'], false);
});

test('a blob calls its function once for each version, with the names in its path', async () => {
  const container = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient(
    'incoming',
  );
  await container.createIfNotExists();
  await container.getBlockBlobClient('skipped.json').upload('no', 2);
  await container.getBlockBlobClient('a.txt').upload('first', 5);
  await until('the first version', async () => (await notes('blob')).length === 1);
  await container.getBlockBlobClient('a.txt').upload('second', 6);
  const found = await until('the second version', async () => {
    const all = await notes('blob');
    return all.length === 2 && all;
  });
  assert.deepEqual(
    found.map(({ text, name }) => [text, name]),
    [
      ['first', 'a'],
      ['second', 'a'],
    ],
  );
});

test('a timer that was due while the host was away is past due at its start', async () => {
  await stack.stop();
  // Real time must pass, for a tick of the timer to be missed.
  await pause(1500);
  stack = await testStack(stack.options);
  const [first] = await until('a tick', async () => {
    const found = await notes('tick');
    return found.length > 0 && found;
  });
  assert.equal(first?.['isPastDue'], true);
});

test('two hosts on one storage: one of them runs the timer', async () => {
  const [http = 0] = await freePorts(1);
  const { root, host, main = '', settings } = stack.options;
  const second = await startChild<{ port: number }>(
    'Functions host',
    new URL(import.meta.resolve('#dev/functions-host/host/process.js')),
    ['--root', root, '--host', host, '--port', String(http), '--main', main],
    {
      env: {
        ...process.env,
        ...settings,
        ServiceBus: stack.serviceBus,
        AzureWebJobsStorage: stack.storage,
      },
    },
  );
  try {
    const before = (await notes('tick')).length;
    await until('three more ticks', async () => (await notes('tick')).length >= before + 3);
    const other = (await (await fetch(`http://${host}:${http}/api/notes`)).json()) as Note[];
    assert.deepEqual(
      other.filter(({ what }) => what === 'tick'),
      [],
    );
  } finally {
    await second.stop();
  }
});
