/** Transactions, by a plain client: no JavaScript SDK offers them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Broker, start } from '#service-bus/start.js';
import { plainConnection } from '../support/plain.ts';
import { requestsTo, types } from '../support/requests.ts';
import {
  attach,
  code,
  credit,
  described,
  encoded,
  frame,
  type Heard,
  hello,
  target,
  wire,
} from '../support/wire.ts';

let broker: Broker;
before(async () => {
  broker = await start({ queues: ['a', 'b', 'c'].map((name) => ({ name })) });
});
after(() => broker?.close());

const uint = (n: number) => types.wrap_uint(n);
const value = (of: string) => encoded(types.wrap_described(of, 0x77));
/** A body that is a described value itself. */
const request = (descriptor: number, fields: unknown[]) =>
  Buffer.concat([Buffer.from([0x00, 0x53, 0x77]), encoded(described(descriptor, fields))]);

async function count(queue: string): Promise<number> {
  const connection = plainConnection(broker.port);
  connection.on('disconnected', () => undefined);
  const { ask } = await requestsTo(connection, `${queue}/$management`);
  const { body } = await ask('com.microsoft:peek-message', { 'message-count': uint(100) });
  connection.close();
  return body?.messages?.length ?? 0;
}

/** One AMQP session with a coordinator link and links to send to `a` (1) and `b` (2). */
async function opened() {
  const client = await wire(broker.port);
  const coordinator = described(0x30, []);
  const asked = ['txn', uint(0), false, null, null, described(0x28, []), coordinator];
  client.say(hello(), frame(code.attach, [...asked, null, null, uint(0)]));
  client.say(attach(1, 'a'), attach(2, 'b'));
  await client.hear(code.attach, ({ fields }) => fields[0] === 'link-2');
  let next = 0;
  /** Sends a transfer, and answers the disposition of it. */
  const send = (handle: number, payload: Buffer, state: unknown = null): Promise<Heard> => {
    const id = next++;
    const fields = [uint(handle), uint(id), Buffer.from([id]), uint(0), false, false, null, state];
    client.say(frame(code.transfer, fields, { payload }));
    return client.hear(
      code.disposition,
      ({ fields: [role, first, last] }) =>
        role === true && Number(first) <= id && id <= Number(last ?? first),
    );
  };
  const declare = async (): Promise<Buffer> => {
    const { state } = await send(0, request(0x31, []));
    const [id] = (state ?? []) as { value: Buffer }[];
    assert.ok(id);
    return id.value;
  };
  const discharge = (id: Buffer, fails: boolean) => send(0, request(0x32, [id, fails]));
  const within = (id: Buffer, outcome: unknown = null) => described(0x34, [id, outcome]);
  return { client, send, declare, discharge, within };
}

test('what is sent and settled in a transaction is done when it is discharged, across entities', async () => {
  const { client, send, declare, discharge, within } = await opened();
  await send(1, value('there before'));
  client.say(attach(3, 'a', true), credit(3, 1));
  await client.hear(code.transfer);
  const id = await declare();
  const { states } = await send(2, value('moved'), within(id));
  assert.equal(states, 0x34);
  const outcome = within(id, described(0x24, []));
  client.say(frame(code.disposition, [true, uint(0), uint(0), false, outcome]));
  await client.hear(code.disposition, ({ fields }) => fields[0] === false);
  assert.deepEqual([await count('a'), await count('b')], [1, 0]);
  assert.equal((await discharge(id, false)).states, 0x24);
  assert.deepEqual([await count('a'), await count('b')], [0, 1]);
  client.socket.destroy();
});

test('what is rolled back was never done; a transaction that is over is unknown', async () => {
  const { client, send, declare, discharge, within } = await opened();
  const id = await declare();
  await send(1, value('never'), within(id));
  assert.equal((await discharge(id, true)).states, 0x24);
  assert.equal(await count('a'), 0);
  assert.equal((await send(1, value('late'), within(id))).states, 0x25);
  assert.equal((await discharge(id, false)).states, 0x25);
  assert.equal(await count('a'), 0);
  client.socket.destroy();
});

test('a discharge says that it failed by a boolean of either form', async () => {
  const { client, send, declare, within } = await opened();
  const id = await declare();
  await send(1, value('never'), within(id));
  const failed = Buffer.from([0x56, 0x01]);
  const fields = Buffer.concat([Buffer.from([0xa0, id.length]), id, failed]);
  const list = Buffer.concat([Buffer.from([0xc0, fields.length + 1, 2]), fields]);
  const body = Buffer.concat([Buffer.from([0x00, 0x53, 0x77, 0x00, 0x53, 0x32]), list]);
  assert.equal((await send(0, body)).states, 0x24);
  assert.equal(await count('a'), 0);
  client.socket.destroy();
});

test('send-via: what is sent to one entity comes to another', async () => {
  const client = await wire(broker.port);
  const properties = { 'com.microsoft:transfer-destination-address': 'c' };
  const asked = ['via', uint(0), false, null, null, described(0x28, []), target('a'), null, null];
  client.say(
    hello(),
    frame(code.attach, [...asked, uint(0), null, null, null, types.wrap_symbolic_map(properties)]),
  );
  await client.hear(code.attach);
  const fields = [uint(0), uint(0), Buffer.from([1]), uint(0), false];
  client.say(frame(code.transfer, fields, { payload: value('x') }));
  await client.hear(code.disposition);
  assert.deepEqual([await count('a'), await count('c')], [0, 1]);
  client.socket.destroy();
});
