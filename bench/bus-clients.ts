/** What the clients of `npm run bench:bus` do: plain rhea ones, and the real SDK. */
import { ServiceBusClient as Sdk, type ServiceBusClient } from '@azure/service-bus';
import rhea from 'rhea';
import { batchedMessages } from './bus-batch.ts';

const body = 'x'.repeat(1024);
const window = 500;

// --- plain AMQP -----------------------------------------------------------------------------------

interface Plain {
  connection: rhea.Connection;
  close(): Promise<void>;
}

async function plain(port: number): Promise<Plain> {
  const connection = rhea
    .create_container()
    .connect({ port, host: '127.0.0.1', reconnect: false, username: 'a' });
  await new Promise((resolve) => connection.once('connection_open', resolve));
  return {
    connection,
    async close() {
      const closed = new Promise((resolve) => connection.once('connection_close', resolve));
      connection.close();
      await closed;
    },
  };
}

/** Sends with up to `window` unacknowledged; answers the milliseconds until all are accepted. */
export async function plainSend(port: number, messages: number, queue = 'q'): Promise<number> {
  const { connection, close } = await plain(port);
  const sender = connection.open_sender(queue);
  await new Promise((resolve) => sender.once('sendable', resolve));
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let [sent, accepted] = [0, 0];
    const fill = () => {
      while (sent < messages && sent - accepted < window && sender.sendable()) {
        sender.send({ body });
        sent++;
      }
    };
    sender.on('accepted', () => {
      if (++accepted === messages) resolve();
      else fill();
    });
    sender.on('sendable', fill);
    fill();
  });
  const ms = performance.now() - began;
  await close();
  return ms;
}

export async function plainReceive(port: number, messages: number, queue = 'q'): Promise<number> {
  const { connection, close } = await plain(port);
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let received = 0;
    const receiver = connection.open_receiver({
      source: queue,
      credit_window: window,
      autoaccept: true,
    });
    receiver.on('message', () => {
      if (++received === messages) resolve();
    });
  });
  const ms = performance.now() - began;
  await close();
  return ms;
}

/** Batches of 200, one after the other. */
export async function fill(port: number, messages: number, queue: string): Promise<void> {
  const { connection, close } = await plain(port);
  const sender = connection.open_sender(queue);
  await new Promise((resolve) => sender.once('sendable', resolve));
  const batch = batchedMessages(Array.from({ length: 200 }, () => body));
  let next = () => {};
  sender.on('accepted', () => next());
  for (let sent = 0; sent < messages; sent += 200)
    await new Promise<void>((resolve) => {
      next = resolve;
      // biome-ignore lint/suspicious/noExplicitAny: rhea takes encoded bytes when a format is given
      sender.send(batch as any, undefined, 0x80013700);
    });
  await close();
}

// --- the SDK --------------------------------------------------------------------------------------

async function inParallel(at: number, total: number, act: (n: number) => Promise<void>) {
  const began = performance.now();
  let next = 0;
  const work = async () => {
    while (next < total) await act(next++);
  };
  await Promise.all(Array.from({ length: at }, work));
  return performance.now() - began;
}

const connectionTo = (port: number) =>
  `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`;

/** Each of them answers the milliseconds that it took. */
export function sdk(port: number) {
  const client = new Sdk(connectionTo(port));
  const sender = client.createSender('sdk');
  return {
    send: (messages: number) => inParallel(50, messages, () => sender.sendMessages({ body })),
    sendBatches(messages: number) {
      const hundred = Array.from({ length: 100 }, () => ({ body }));
      return inParallel(4, messages / 100, () => sender.sendMessages(hundred));
    },
    receive: (messages: number) => sdkReceive(client, messages),
    sessions: (cycles: number) => sdkSessions(client, cycles),
    close: () => client.close(),
  };
}

async function sdkReceive(client: ServiceBusClient, messages: number): Promise<number> {
  const receiver = client.createReceiver('sdk', { skipParsingBodyAsJson: true });
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let done = 0;
    receiver.subscribe(
      {
        async processMessage(message) {
          await receiver.completeMessage(message);
          if (++done === messages) resolve();
        },
        async processError({ error }) {
          console.error(error);
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: 200 },
    );
  });
  const ms = performance.now() - began;
  await receiver.close();
  return ms;
}

async function sdkSessions(client: ServiceBusClient, cycles: number): Promise<number> {
  const sender = client.createSender('sessions');
  for (let at = 0; at < cycles; at += 100)
    await sender.sendMessages(
      Array.from({ length: Math.min(100, cycles - at) }, (_, n) => ({
        body,
        sessionId: `s${at + n}`,
      })),
    );
  const ms = await inParallel(16, cycles, async () => {
    const receiver = await client.acceptNextSession('sessions', {
      maxAutoLockRenewalDurationInMs: 0,
    });
    const [message] = await receiver.receiveMessages(1);
    if (message) await receiver.completeMessage(message);
    await receiver.close();
  });
  await sender.close();
  return ms;
}
