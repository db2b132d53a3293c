/** What Proton and other clients put on the wire that the JavaScript SDK does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { start } from '#service-bus/start.js';
import { plainConnection } from '../support/plain.ts';
import { types } from '../support/requests.ts';
import {
  attach,
  code,
  credit,
  described,
  encoded,
  frame,
  type Heard,
  hello,
  wire,
} from '../support/wire.ts';

test('two links of one name, one each way, and credit in one write with the attach', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  const client = new ServiceBusClient(broker.connectionString);
  const connection = plainConnection(broker.port);
  try {
    await client.createSender('q').sendMessages([{ body: 1 }, { body: 2 }]);
    const received = await new Promise<unknown[]>((resolve, reject) => {
      const bodies: unknown[] = [];
      connection.on('disconnected', ({ error }) => reject(error ?? new Error('disconnected')));
      const sender = connection.open_sender({ target: 'q', name: 'same' });
      const { links } = sender.session as unknown as { links: Record<string, unknown> };
      sender.once('sendable', () => {
        // Or rhea, too, would take the second for the first.
        delete links['same'];
        const receiver = connection.open_receiver({ source: 'q', name: 'same', credit_window: 5 });
        receiver.on('message', ({ message }) => {
          bodies.push(message?.body);
          if (bodies.length === 2) sender.send({ body: 3 });
          if (bodies.length === 3) resolve(bodies);
        });
      });
    });
    assert.equal(received.length, 3);
  } finally {
    connection.removeAllListeners('disconnected');
    connection.on('disconnected', () => undefined);
    connection.close();
    await client.close();
    await broker.close();
  }
});

test('a receiver that stopped waiting has no credit left: the next message is another one', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  const client = new ServiceBusClient(broker.connectionString);
  try {
    const [first, second] = [client.createReceiver('q'), client.createReceiver('q')];
    // Both ask for more than there is, and give their credit back.
    for (const receiver of [first, second])
      assert.equal((await receiver.receiveMessages(5, { maxWaitTimeInMs: 200 })).length, 0);
    await client.createSender('q').sendMessages({ body: 'free' });
    const [message] = await second.receiveMessages(1, { maxWaitTimeInMs: 2000 });
    assert.equal(message?.body, 'free', 'it went to the one that waits for nothing');
    assert.equal(message?.deliveryCount, 0);
  } finally {
    await client.close();
    await broker.close();
  }
});

test('a session that is asked for by a described value is answered by one: its id, not the next', async () => {
  const broker = await start({ queues: [{ name: 's', requiresSession: true }] });
  const connection = plainConnection(broker.port);
  connection.on('disconnected', () => undefined);
  const name = 'com.microsoft:session-filter';
  const link = connection.open_receiver({
    source: { address: 's', filter: { [name]: types.wrap_described('mine', 0x137000000c) } },
  } as never);
  await new Promise((resolve) => link.once('receiver_open', resolve));
  const { filter } = link.source as unknown as {
    filter: Record<string, { descriptor?: { value: number }; value?: unknown }>;
  };
  assert.equal(filter[name]?.value, 'mine');
  assert.equal(Number(filter[name]?.descriptor?.value), 0x137000000c);
  connection.close();
  await broker.close();
});

test('every error has all its fields; outcomes of one write are each said again', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  const client = await wire(broker.port);
  const uint = (n: number) => types.wrap_uint(n);
  client.say(hello(), attach(0, 'q'));
  await client.hear(code.attach);
  const body = encoded(types.wrap_described('x', 0x77));
  const send = (id: number, payload: Buffer) =>
    frame(code.transfer, [uint(0), uint(id), Buffer.from([id]), uint(0), false], { payload });
  client.say(send(0, body), send(1, Buffer.from([0xff])), send(2, body), send(3, body));
  const stateOf = (heard: Heard, id: number) => {
    const [, first, last] = heard.fields as number[];
    return (first ?? 0) <= id && id <= (last ?? first ?? 0) ? heard.states : undefined;
  };
  const outcomeOf = async (id: number, from = 0) => {
    const is = (heard: Heard) => client.heard.indexOf(heard) >= from && !!stateOf(heard, id);
    return (await client.hear(code.disposition, is)).states;
  };
  assert.deepEqual([await outcomeOf(0), await outcomeOf(2)], [0x24, 0x24]);
  assert.equal(await outcomeOf(1), 0x25);
  const refusal = client.heard.find(
    (each) => each.code === code.disposition && each.states === 0x25,
  );
  assert.equal((refusal?.error ?? []).length, 3);
  const before = client.heard.length;
  client.say(attach(1, 'q', true), credit(1, 3));
  await client.hear(code.transfer, ({ fields }) => fields[1] === 2);
  const outcomes = [described(0x27, [false, true]), described(0x25, []), described(0x24, [])];
  client.say(
    ...outcomes.map((state, id) => frame(code.disposition, [true, uint(id), null, false, state])),
  );
  const said = [await outcomeOf(0, before), await outcomeOf(1, before), await outcomeOf(2, before)];
  assert.deepEqual(said, [0x27, 0x25, 0x24]);
  client.socket.destroy();
  await broker.close();
});

test('a client that wants a sign of life every second gets one', async () => {
  const broker = await start({ queues: [{ name: 'q' }] });
  // rhea hangs up after twice that.
  const connection = plainConnection(broker.port, { idle_time_out: 500 });
  let ended = false;
  connection.on('disconnected', () => {
    ended = true;
  });
  await new Promise((resolve) => connection.once('connection_open', resolve));
  await pause(2500);
  assert.equal(ended, false);
  connection.close();
  await broker.close();
});

test('a boolean of a type and a byte is one to filters, as Python sends it', async () => {
  const rules = [{ name: 'r', correlationFilter: { properties: { eu: true } } }];
  const topics = [{ name: 't', subscriptions: [{ name: 's', rules }] }];
  const broker = await start({ topics });
  const client = new ServiceBusClient(broker.connectionString);
  const bus = await wire(broker.port);
  try {
    const key = [0xa1, 0x02, 0x65, 0x75];
    const payload = (yes: number) =>
      Buffer.concat([
        Buffer.from([0x00, 0x53, 0x74, 0xc1, 0x07, 0x02, ...key, 0x56, yes]),
        encoded(types.wrap_described(`eu ${yes}`, 0x77)),
      ]);
    bus.say(hello(), attach(0, 't'));
    await bus.hear(code.attach);
    for (const id of [0, 1]) {
      const fields = [types.wrap_uint(0), types.wrap_uint(id), Buffer.from([id])];
      const more = [types.wrap_uint(0), true];
      bus.say(frame(code.transfer, [...fields, ...more], { payload: payload(id) }));
    }
    const found = await client.createReceiver('t', 's').receiveMessages(2, {
      maxWaitTimeInMs: 2000,
    });
    assert.deepEqual(
      found.map(({ body }) => body),
      ['eu 1'],
    );
  } finally {
    bus.socket.destroy();
    await client.close();
    await broker.close();
  }
});
