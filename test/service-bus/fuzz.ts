/**
 * Clients that make no sense, from a seed: frames with wrong types and depths, SASL, requests, ATOM
 * bodies, WebSocket frames, garbage after a TLS record's head. The broker is a process; what ends it is
 * found by its seed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Typed } from 'rhea';
import { brokerProcess } from '../support/broker.ts';
import { plainConnection } from '../support/plain.ts';
import { requestsTo, types } from '../support/requests.ts';
import { code, described, encoded, frame, hello, protocol, rawFrame } from '../support/wire.ts';

/** A number below `below`, the same for the same seed. */
export type Random = (below: number) => number;

export function seeded(seed: string): Random {
  let [n, bytes] = [0, Buffer.alloc(0)];
  return (below) => {
    if (bytes.length < 4) bytes = createHash('sha512').update(`${seed}/${n++}`).digest();
    const value = bytes.readUInt32BE(0);
    bytes = bytes.subarray(4);
    return value % below;
  };
}

const pick = <T>(random: Random, all: readonly T[]): T => all[random(all.length)] as T;

const noise = (random: Random, most: number): Buffer =>
  Buffer.from(Array.from({ length: random(most) }, () => random(256)));

const texts = ['', 'q', 's', 't', '$cbs', 'q/$management', 'text', '\u0000', '__proto__', '%'];

/** Any AMQP value, of any type, rather deep at times. */
function value(random: Random, depth = 0): Typed {
  const inner = () => value(random, depth + 1);
  const some = () => Array.from({ length: random(4) }, inner);
  const makers: (() => Typed)[] = [
    () => types.wrap(null),
    () => types.wrap_boolean(random(2) === 1),
    () => types.wrap_uint(pick(random, [0, 1, 255, 2 ** 31, 2 ** 32 - 1])),
    () => types.wrap_int(pick(random, [0, -1, 127, 2 ** 31 - 1])),
    () => types.wrap_ulong(pick(random, [0, 0x10, 2 ** 52])),
    () => types.wrap_long(pick(random, [0, -1, 2 ** 40])),
    () => types.wrap_ubyte(random(256)),
    () => types.wrap_double(random(1000) / 7),
    () => types.wrap_timestamp(pick(random, [0, -1, 8.64e15, 2 ** 52])),
    () => types.wrap_string(pick(random, texts)),
    () => types.wrap_symbol(pick(random, texts)),
    () => types.wrap_binary(noise(random, 20)),
    () => types.wrap_uuid(Buffer.alloc(16, random(256))),
    () => types.wrap_list(depth > 4 ? [] : some()),
    () =>
      types.wrap_map(
        Object.fromEntries((depth > 4 ? [] : some()).map((v) => [pick(random, texts), v])),
      ),
    () => types.wrap_array([types.wrap_uint(1).value], 0x70, undefined),
    () => described(random(0x90), depth > 4 ? [] : some()),
  ];
  return pick(random, makers)();
}

/** Now and then a byte is another one, a piece is missing or there twice. */
function bent(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0 || random(3) > 0) return bytes;
  const at = random(bytes.length);
  const changed = Buffer.from(bytes);
  changed[at] = random(256);
  const cut = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(8))]);
  return pick(random, [changed, cut, Buffer.concat([bytes, bytes.subarray(at)])]);
}

// What each performative looks like when it makes sense.
const uint = (n: number) => types.wrap_uint(n);
const address = (random: Random) => pick(random, texts.slice(1, 6));
const sensible: Record<number, (random: Random) => unknown[]> = {
  [code.begin]: () => [null, uint(0), uint(2048), uint(2048)],
  [code.attach]: (random) => [
    ...[`l${random(4)}`, uint(random(4)), random(2) === 1, null, null],
    ...[described(0x28, [address(random)]), described(0x29, [address(random)])],
    ...[null, null, uint(0)],
  ],
  [code.flow]: (random) => [
    ...[uint(0), uint(2048), uint(0), uint(2048), uint(random(4)), uint(0), uint(random(50))],
  ],
  [code.transfer]: (random) => [
    ...[uint(random(4)), uint(random(3)), noise(random, 16), uint(0), random(2) === 1],
    random(3) === 0,
  ],
  [code.disposition]: (random) => [
    ...[random(2) === 1, uint(random(4)), uint(random(9)), random(2) === 1],
    described(0x23 + random(5), []),
  ],
  [code.detach]: (random) => [uint(random(4)), true],
};

function performative(random: Random): Buffer {
  const of = Number(pick(random, Object.keys(sensible)));
  const fields = sensible[of]?.(random) ?? [];
  if (random(2) === 0) fields[random(fields.length)] = value(random);
  const payload =
    of === code.transfer
      ? Buffer.concat([encoded(described(0x70 + random(9), [value(random)])), noise(random, 10)])
      : Buffer.alloc(0);
  return bent(random, frame(of, fields, { payload, channel: random(20) === 0 ? random(3) : 0 }));
}

const many = (random: Random, most: number, make: (random: Random) => Buffer) =>
  Buffer.concat(Array.from({ length: 1 + random(most) }, () => make(random)));

const frames = (random: Random) => Buffer.concat([hello(), many(random, 12, performative)]);

const sasl = (random: Random) =>
  Buffer.concat([
    bent(random, protocol.sasl),
    many(random, 4, (r) =>
      bent(r, frame(0x40 + r(5), [value(r), value(r), value(r)], { type: r(3) })),
    ),
    bent(random, protocol.amqp),
    rawFrame(noise(random, 60)),
  ]);

const http = (random: Random) => {
  const element = pick(random, ['QueueDescription', 'TopicDescription', 'RuleDescription', 'x']);
  const inside = pick(random, [
    '<LockDuration>PT1M</LockDuration>',
    '<LockDuration><a/></LockDuration>',
    `<MaxSizeInMegabytes>${random(9)}e9</MaxSizeInMegabytes>`,
    '<Filter xmlns:i="i" i:type="CorrelationFilter"><Properties><KeyValueOfstringanyType/></Properties></Filter>',
    `<Filter><SqlExpression>${'('.repeat(random(300))}</SqlExpression></Filter>`,
    '<a>'.repeat(random(2000)),
    '&a;&#0;&#x110000;<![CDATA[',
    noise(random, 50).toString('latin1'),
  ]);
  const body = `<entry><content><${element}>${inside}</${element}></content></entry>`;
  const method = pick(random, ['GET', 'PUT', 'DELETE', 'POST', 'HEAD', 'X']);
  const path = pick(random, [
    '/made',
    '//',
    '/%',
    '/$Resources/queues?$skip=x',
    '/t/Subscriptions/s/Rules/r',
    '/gone/',
    '/?#',
    '*',
  ]);
  return bent(
    random,
    Buffer.from(
      `${method} ${path} HTTP/1.1\r\nhost: ${pick(random, ['a', '', ':', '['])}\r\n${random(2) ? 'if-match: *\r\n' : ''}content-length: ${body.length}\r\n\r\n${body}`,
    ),
  );
};

const webSocket = (random: Random) => {
  const head = `GET /$servicebus/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: AMQPWSB10\r\n\r\n`;
  const each = (r: Random) => {
    const bytes = r(2) ? frames(r).subarray(0, 120) : noise(r, 120);
    return bent(r, Buffer.concat([Buffer.from([r(256), 0x80 | bytes.length, 0, 0, 0, 0]), bytes]));
  };
  return Buffer.concat([Buffer.from(head), many(random, 5, each)]);
};

const tls = (random: Random) =>
  Buffer.concat([Buffer.from([0x16, 3, 1, random(2), random(256)]), noise(random, 400)]);

const makers = { frames, sasl, http, webSocket, tls };

/** Writes, and hangs up when the broker does or has had time. */
async function throwAt(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  socket.end();
  await Promise.race([closed, pause(250)]);
  socket.destroy();
}

const operations = ['peek-message', 'renew-lock', 'schedule-message', 'update-disposition'].concat(
  ['receive-by-sequence-number', 'cancel-scheduled-message', 'batch-delete-messages', 'add-rule'],
  ['set-session-state', 'get-session-state', 'get-message-sessions', 'enumerate-rules', 'none'],
);
const names = ['messages', 'lock-tokens', 'sequence-numbers', 'message-count', 'session-id'].concat(
  ['rule-name', 'rule-description', 'disposition-status', 'properties-to-modify', 'skip', 'top'],
);

/** Requests with bodies of any shape, each of which is to be answered. */
async function askAnything(port: number, random: Random): Promise<void> {
  const connection = plainConnection(port);
  for (const name of ['disconnected', 'sender_error', 'receiver_error'])
    connection.on(name, () => undefined);
  try {
    const node = pick(random, ['q', 's', 't/Subscriptions/s', 't']);
    const { ask } = await requestsTo(connection, `${node}/$management`);
    for (let n = 0; n < 10; n++) {
      const pairs = Array.from({ length: random(5) }, () => [pick(random, names), value(random)]);
      const body = random(5) === 0 ? value(random) : types.wrap_map(Object.fromEntries(pairs));
      const operation = `com.microsoft:${pick(random, operations)}`;
      const answered = await Promise.race([ask(operation, body), pause(10_000, undefined)]);
      if (!answered) throw new Error(`no answer to ${operation}`);
    }
  } finally {
    connection.close();
  }
}

export interface FuzzOptions {
  seed: string;
  /** Rounds, or until when; whichever comes first. */
  rounds: number;
  until: number;
}

/** Answers how many rounds it was. @throws Error that names the round's seed */
export async function fuzz({ seed, rounds, until }: FuzzOptions): Promise<number> {
  const broker = await brokerProcess({
    queues: [{ name: 'q' }, { name: 's', requiresSession: true }],
    topics: [{ name: 't', subscriptions: [{ name: 's' }] }],
  });
  let round = 0;
  try {
    for (; round < rounds && Date.now() < until; round++) {
      const own = `${seed}/${round}`;
      const random = seeded(own);
      const kind = pick(random, [...Object.keys(makers), 'requests']);
      try {
        const make = makers[kind as keyof typeof makers];
        if (make) await throwAt(broker.port, make(random));
        else await askAnything(broker.port, random);
      } catch (cause) {
        throw new Error(`round ${own} (${kind}) failed`, { cause });
      }
      if (!broker.isUp) throw new Error(`round ${own} (${kind}) ended the broker`);
    }
    await askAnything(broker.port, seeded(`${seed}/last`));
    return round;
  } finally {
    await broker.remove();
  }
}
