/** WebSockets, TLS and tokens: the same port, the same rules. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ServiceBusClient, type WebSocketImpl } from '@azure/service-bus';
import rhea from 'rhea';
import { generate } from 'selfsigned';
import WebSocket from 'ws';
import { type Broker, type BrokerOptions, start } from '#service-bus/start.js';
import { administrationOf } from '../support/administration.ts';
import { until } from '../support/until.ts';
import { code, frame, hello } from '../support/wire.ts';

const key = Buffer.from('a key for tests only, of no use').toString('base64');
const keys = [
  { name: 'root', key },
  { name: 'other', key: `x${key}` },
];

let folder: string;
let certificate: NonNullable<BrokerOptions['tls']>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-tls-'));
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  certificate = { cert: made.cert, key: made.private };
  await writeFile(join(folder, 'cert.pem'), made.cert);
});
after(() => rm(folder, { recursive: true, force: true }));

async function withBroker(options: BrokerOptions, act: (broker: Broker) => Promise<void>) {
  const broker = await start({ queues: [{ name: 'q' }], ...options });
  try {
    await act(broker);
  } finally {
    await broker.close();
  }
}

async function roundTrip(client: ServiceBusClient): Promise<unknown> {
  try {
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'there and back' });
    const receiver = client.createReceiver('q');
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 3000 });
    assert.ok(message);
    await receiver.completeMessage(message);
    return message.body;
  } finally {
    await client.close();
  }
}

const quick = { retryOptions: { maxRetries: 0, timeoutInMs: 3000 } };

test('AMQP over WebSockets over TLS, as the SDK does it', () =>
  withBroker({ tls: certificate }, async ({ connectionString, port }) => {
    class Trusting extends WebSocket {
      constructor(url: string, protocols: string[]) {
        // The SDK names no port where it takes a host from the connection string.
        const at = new URL(url);
        at.port = String(port);
        super(at, protocols, { ca: certificate.cert });
      }
    }
    const webSocketOptions = { webSocket: Trusting as unknown as WebSocketImpl };
    const client = new ServiceBusClient(connectionString, { webSocketOptions });
    assert.equal(await roundTrip(client), 'there and back');
  }));

test('plain WebSockets offer the sub-protocol, and take no other path', () =>
  withBroker({}, async ({ port }) => {
    const opened = async (path: string) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, ['AMQPWSB10']);
      const result = await new Promise<string>((resolve) => {
        socket.on('open', () => resolve(socket.protocol));
        socket.on('error', () => resolve('refused'));
      });
      socket.terminate();
      return result;
    };
    assert.equal(await opened('/$servicebus/websocket'), 'AMQPWSB10');
    assert.equal(await opened('/elsewhere'), 'refused');
  }));

test('a WebSocket ends with its connection when AMQP is closed: Java knows no answer to a closing frame', () =>
  withBroker({}, async ({ port }) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/$servicebus/websocket`, ['AMQPWSB10']);
    const ended = new Promise<number>((resolve) => socket.on('close', resolve));
    await new Promise((resolve) => socket.on('open', resolve));
    socket.send(Buffer.concat([hello(), frame(code.close, [])]));
    // 1006: there was no closing frame.
    assert.equal(await ended, 1006);
    const polite = new WebSocket(`ws://127.0.0.1:${port}/$servicebus/websocket`, ['AMQPWSB10']);
    const answered = new Promise<number>((resolve) => polite.on('close', resolve));
    await new Promise((resolve) => polite.on('open', resolve));
    polite.close(1000);
    assert.equal(await answered, 1000);
  }));

test('a WebSocket may be asked for by its absolute address, as the Java SDK does', () =>
  withBroker({}, async ({ port }) => {
    const answer = async (target: string) => {
      const socket = connect(port, '127.0.0.1');
      const asked = [
        `GET ${target} HTTP/1.1`,
        ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
        ...['Sec-WebSocket-Key: F1YALHwexSy2P9RKJBW/cA==', 'Sec-WebSocket-Protocol: AMQPWSB10'],
        'Host: 127.0.0.1',
      ];
      socket.write(`${asked.join('\r\n')}\r\n\r\n`);
      const first = await new Promise<string>((resolve) => {
        socket.once('data', (data) => resolve(data.toString('latin1')));
        socket.once('close', () => resolve('closed'));
      });
      socket.destroy();
      return first.slice(0, 12);
    };
    assert.equal(await answer('https://127.0.0.1/$servicebus/websocket'), 'HTTP/1.1 101');
    assert.equal(await answer('/$servicebus/websocket'), 'HTTP/1.1 101');
    assert.equal(await answer('https://127.0.0.1/elsewhere'), 'closed');
  }));

/** A plain AMQP 1.0 client that sends one message and receives it. */
async function plainRoundTrip(options: {
  port: number;
  [more: string]: unknown;
}): Promise<unknown> {
  const container = rhea.create_container();
  const connection = container.connect({ reconnect: false, host: '127.0.0.1', ...options });
  try {
    return await new Promise((resolve, reject) => {
      connection.on('connection_open', () => {
        connection.open_receiver('q');
        connection.open_sender('q');
      });
      connection.on('sendable', ({ sender }) => {
        if (sender && sender.sent !== true) sender.send({ body: 'plain' });
        if (sender) sender.sent = true;
      });
      connection.on('message', ({ message }) => resolve(message?.body));
      for (const name of ['disconnected', 'connection_error', 'sender_error', 'receiver_error'])
        connection.on(name, ({ connection: of, error, receiver, sender }) =>
          reject(error ?? receiver?.error ?? sender?.error ?? of?.error ?? new Error(name)),
        );
    });
  } finally {
    connection.removeAllListeners('disconnected');
    connection.on('disconnected', () => undefined);
    connection.close();
  }
}

test('AMQP over TLS, by a plain client', () =>
  withBroker({ tls: certificate }, async ({ port }) => {
    const body = await plainRoundTrip({
      port,
      transport: 'tls',
      ca: certificate.cert,
      username: 'a',
    });
    assert.equal(body, 'plain');
  }));

test('without a certificate TLS is turned away, and the broker stays up', () =>
  withBroker({}, async ({ port, connectionString }) => {
    await assert.rejects(plainRoundTrip({ port, transport: 'tls', username: 'a' }));
    assert.equal(await roundTrip(new ServiceBusClient(connectionString)), 'there and back');
  }));

test('with keys: the right key works, in AMQP and in the administration', () =>
  withBroker({ keys }, async ({ connectionString }) => {
    assert.equal(await roundTrip(new ServiceBusClient(connectionString)), 'there and back');
    assert.equal(await administrationOf(connectionString).queueExists('q'), true);
  }));

test('with keys: a wrong key, an unknown name and no token are refused', () =>
  withBroker({ keys }, async ({ connectionString, port }) => {
    for (const wrong of [
      connectionString.replace(/SharedAccessKey=[^;]+/, 'SharedAccessKey=d3Jvbmc='),
      connectionString.replace('Name=root', 'Name=nobody'),
    ]) {
      await assert.rejects(roundTrip(new ServiceBusClient(wrong, quick)), {
        code: 'UnauthorizedAccess',
      });
      await assert.rejects(administrationOf(wrong).getQueue('q'), { statusCode: 401 });
    }
    await assert.rejects(plainRoundTrip({ port }), { condition: 'amqp:unauthorized-access' });
    await assert.rejects(plainRoundTrip({ port, username: 'root', password: 'wrong' }));
    assert.equal(await plainRoundTrip({ port, username: 'root', password: key }), 'plain');
  }));

test('with keys: a token opens what it is for, until it expires', () => {
  let now = Date.now();
  const clock = {
    now: () => now,
    after: (ms: number, run: () => void) => {
      const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
      return () => clearTimeout(timer);
    },
  };
  return withBroker({ keys, clock, queues: [{ name: 'q' }, { name: 'r' }] }, async ({ port }) => {
    const tokenFor = (resource: string, until: number) => {
      const sr = encodeURIComponent(resource);
      const se = Math.floor(until / 1000);
      const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
      return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=root`;
    };
    const use = (token: string) =>
      roundTrip(
        new ServiceBusClient(
          `Endpoint=sb://127.0.0.1:${port};SharedAccessSignature=${token};UseDevelopmentEmulator=true`,
          quick,
        ),
      );
    const minute = now + 60_000;
    assert.equal(await use(tokenFor(`sb://127.0.0.1:${port}/q`, minute)), 'there and back');
    assert.equal(await use(tokenFor(`sb://127.0.0.1:${port}/`, minute)), 'there and back');
    await assert.rejects(use(tokenFor(`sb://127.0.0.1:${port}/r`, minute)), {
      code: 'UnauthorizedAccess',
    });
    now += 120_000;
    await assert.rejects(use(tokenFor(`sb://127.0.0.1:${port}/q`, minute)), {
      code: 'UnauthorizedAccess',
    });
  });
});

test('the administration may have a port of its own; over TLS it is what the SDK speaks by itself', () =>
  withBroker({ tls: certificate, adminPort: 0 }, async ({ connectionString, adminPort }) => {
    const at = connectionString.replace(/:\d+;/, `:${adminPort};`);
    assert.equal(await administrationOf(at).queueExists('q'), true);
    const code = `
      const { ServiceBusAdministrationClient } = require('@azure/service-bus');
      new ServiceBusAdministrationClient(process.argv[1]).getQueue('q').then((q) => console.log(q.name));`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') };
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['-e', code, at], { env });
    assert.equal(stdout.trim(), 'q');
  }));

test('the limit of a message is an option, which batches keep to', () =>
  withBroker({ maxMessageBytes: 1_048_576 }, async ({ connectionString }) => {
    const client = new ServiceBusClient(connectionString);
    const sender = client.createSender('q');
    const batch = await sender.createMessageBatch();
    assert.equal(batch.maxSizeInBytes, 1_048_576);
    let messages = 0;
    while (batch.tryAddMessage({ body: Buffer.alloc(50_000) })) messages++;
    assert.equal(messages, 20);
    await sender.sendMessages(batch);
    const receiver = client.createReceiver('q', { receiveMode: 'receiveAndDelete' });
    assert.equal((await receiver.receiveMessages(messages)).length, messages);
    const body = Buffer.alloc(1_100_000);
    await assert.rejects(sender.sendMessages({ body }), { code: 'MessageSizeExceeded' });
    await client.close();
  }));

test('who connects and says nothing does no harm', () =>
  withBroker({}, async ({ port, connectionString }) => {
    const sockets = Array.from({ length: 200 }, () => connect(port, '127.0.0.1'));
    await until('all are connected', () =>
      sockets.every(({ readyState }) => readyState === 'open'),
    );
    assert.equal(await roundTrip(new ServiceBusClient(connectionString)), 'there and back');
    for (const socket of sockets) socket.destroy();
  }));
