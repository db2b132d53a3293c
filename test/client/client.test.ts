/** What a call comes to, and when: the clients against servers that answer as told. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { z } from 'zod';
import { connectBus } from '#longhaul/client/bus.js';
import {
  CallTimeoutError,
  RequestRefusedError,
  UnreachableError,
} from '#longhaul/client/errors.js';
import { connect } from '#longhaul/client/http.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { readTopology } from '#longhaul/model/topology.js';
import { brokerProcess } from '../support/broker.ts';
import { until } from '../support/until.ts';

const echo = defineJob({
  type: 'echo',
  input: z.object({ text: z.string() }),
  run: async ({ text }) => ({ text }),
});
const catalogue = [echo] as const;

describe('over HTTP', () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const json = (response: ServerResponse, body: unknown, status = 200) =>
    response
      .writeHead(status, { 'content-type': 'application/json', etag: '"1"' })
      .end(JSON.stringify(body));

  test('the time-out of a call covers its submit', { timeout: 20_000 }, async () => {
    // Never answered.
    answer = () => undefined;
    const call = connect<typeof catalogue>({ url }).call(
      'echo',
      { text: 'x' },
      { timeout: '200ms' },
    );
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof CallTimeoutError);
      assert.equal(error.id, undefined);
      return /may have been taken or not/.test(error.message);
    });
  });

  test('and the fetching of its result', { timeout: 20_000 }, async () => {
    answer = (request, response) => {
      if (request.method === 'POST') json(response, { id: 'a', state: 'queued' }, 202);
      else if (!request.url?.endsWith('/result')) json(response, { id: 'a', state: 'succeeded' });
    };
    const call = connect<typeof catalogue>({ url }).call(
      'echo',
      { text: 'x' },
      { timeout: '300ms' },
    );
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof CallTimeoutError);
      return error.id === 'a';
    });
  });

  test('a call that may take longer than a timer of the platform is not over at once', async () => {
    answer = (_, response) => {
      json(response, { id: 'a', state: 'succeeded', result: { text: 'x' } }, 200);
    };
    const jobs = connect<typeof catalogue>({ url });
    assert.deepEqual(await jobs.call('echo', { text: 'x' }, { timeout: '60d' }), { text: 'x' });
    assert.deepEqual(await jobs.job('a').result({ timeout: '60d' }), { text: 'x' });
  });

  test('options beside a request count, before the request’s own', async () => {
    let sent: Record<string, unknown> = {};
    answer = (request, response, body) => {
      if (request.method === 'POST') sent = JSON.parse(body) as Record<string, unknown>;
      json(response, { id: 'a', state: 'succeeded', result: { text: 'x' } });
    };
    const request = echo.with({ text: 'x' }, { delay: '1h', requestedBy: 'ada' });
    await connect<typeof catalogue>({ url }).call(request, { delay: '10m', timeout: '5s' });
    assert.deepEqual(
      [sent['delay'], sent['requestedBy'], sent['timeout']],
      ['10m', 'ada', undefined],
    );
  });

  test('a result that is too large for a message is fetched with the headers, and again', async () => {
    let tries = 0;
    answer = (request, response) => {
      if (request.headers['x-functions-key'] !== 'k') json(response, {}, 401);
      else if (tries++ === 0) json(response, {}, 503);
      else json(response, { text: 'large' });
    };
    const broker = await brokerProcess(topologyOf());
    const client = new ServiceBusClient(broker.connectionString);
    const bus = connectBus<typeof catalogue>({ client, url, headers: { 'x-functions-key': 'k' } });
    const stop = worker(client, () => ({
      id: 'a',
      state: 'succeeded',
      resultUrl: '/api/jobs/a/result',
    }));
    try {
      assert.deepEqual(await bus.call('echo', { text: 'x' }), { text: 'large' });
      assert.equal(tries, 2);
    } finally {
      await stop();
      await bus.close();
      await client.close();
      await broker.remove();
    }
  });
});

const topologyOf = () => {
  const { queues } = readTopology(new URL('../../../topology.json', import.meta.url));
  return { queues };
};

/** Answers what is sent to a queue. */
function worker(
  client: ServiceBusClient,
  answer: (body: unknown) => object,
  queue = 'standard',
): () => Promise<void> {
  const receiver = client.createReceiver(queue);
  const sender = client.createSender('replies-keyed');
  receiver.subscribe({
    async processMessage({ body, correlationId, replyToSessionId }) {
      await sender.sendMessages({
        body: { data: answer(body) },
        contentType: 'application/json',
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(replyToSessionId === undefined ? {} : { sessionId: replyToSessionId }),
      });
    },
    processError: async () => undefined,
  });
  return async () => {
    await receiver.close();
    await sender.close();
  };
}

describe('over Service Bus', () => {
  let broker: Awaited<ReturnType<typeof brokerProcess>>;
  let client: ServiceBusClient;
  before(async () => {
    broker = await brokerProcess(topologyOf());
    client = new ServiceBusClient(broker.connectionString, {
      retryOptions: { maxRetries: 1, retryDelayInMs: 100 },
    });
  });
  after(async () => {
    await client?.close();
    await broker?.remove();
  });

  test('a reply is had as soon as it is there', async () => {
    const bus = connectBus<typeof catalogue>({ client });
    const stop = worker(client, (body) => ({ id: 'a', state: 'succeeded', result: body }));
    try {
      assert.deepEqual(await bus.call('echo', { text: 'first' }), { text: 'first' });
      const from = performance.now();
      for (let n = 0; n < 10; n++) await bus.call('echo', { text: `${n}` });
      const each = (performance.now() - from) / 10;
      // It was a second each: what waits for more replies after the first holds up the first.
      assert.ok(each < 500, `${each} ms each`);
    } finally {
      await stop();
      await bus.close();
    }
  });

  test('a type with a key is called with its key, in the keyed queue', async () => {
    const bus = connectBus<typeof catalogue>({ client });
    const receiver = client.acceptSession('standard-keyed', 'account 7');
    const call = bus.call('echo', { text: 'x' }, { key: 'account 7', timeout: '1m' });
    const ended = assert.rejects(call, UnreachableError);
    const [message] = await (await receiver).receiveMessages(1);
    assert.deepEqual([message?.sessionId, message?.body], ['account 7', { text: 'x' }]);
    await (await receiver).close();
    await bus.close();
    await ended;
  });

  test('a reply queue that is none is said so at once', () => {
    for (const replyQueue of ['nowhere', 'standard', 'replies'])
      assert.throws(
        () => connectBus<typeof catalogue>({ client, replyQueue }),
        (error: unknown) => {
          assert.ok(error instanceof RequestRefusedError);
          return /no reply queue with sessions: the topology has replies-keyed/.test(error.message);
        },
      );
  });

  test('a reply queue that is not there ends the calls, with the cause', async () => {
    const known = readTopology(new URL('../../../topology.json', import.meta.url));
    const gone = known.queues.map((queue) =>
      queue.name === 'replies-keyed' ? { ...queue, name: 'gone' } : queue,
    );
    const topology = { ...known, replies: ['gone'], queues: gone };
    const bus = connectBus<typeof catalogue>({ client, topology });
    await assert.rejects(bus.call('echo', { text: 'x' }), (error: unknown) => {
      assert.ok(error instanceof UnreachableError);
      assert.match(error.message, /Reply queue 'gone'/);
      return (error.cause as Error).name === 'ServiceBusError';
    });
    await bus.close();
  });

  test('an input that is too large is refused, with the cause', async () => {
    const bus = connectBus<typeof catalogue>({ client });
    await assert.rejects(bus.call('echo', { text: 'x'.repeat(2_000_000) }), (error: unknown) => {
      assert.ok(error instanceof RequestRefusedError);
      assert.equal(error.code, 'payload_too_large');
      return error.cause instanceof Error;
    });
    await bus.close();
  });

  test('a request that names another for its reply is refused', async () => {
    const bus = connectBus<typeof catalogue>({ client });
    for (const options of [
      { callback: { url: 'https://example.com' } },
      { replyTo: 'replies' },
      { correlationId: 'x' },
    ])
      await assert.rejects(bus.call(echo.with({ text: 'x' }, options)), RequestRefusedError);
    await bus.close();
    await assert.rejects(bus.call('echo', { text: 'x' }), UnreachableError);
  });

  test('a call that has no reply because the broker is away says so', {
    timeout: 60_000,
  }, async () => {
    const bus = connectBus<typeof catalogue>({ client });
    const first = bus.call('echo', { text: 'x' }, { timeout: '100ms' });
    await assert.rejects(first, CallTimeoutError);
    await broker.kill();
    const errors: unknown[] = [];
    await until('a cause', async () => {
      const call = bus.call('echo', { text: 'x' }, { timeout: '500ms' });
      await call.catch((error: unknown) => errors.push(error));
      return errors.some((error) => (error as Error).cause instanceof Error);
    });
    await bus.close();
  });
});
