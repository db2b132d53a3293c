/** AMQP frames as bytes, for what no client library sends. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import rhea, { type Typed } from 'rhea';

const { types } = rhea;
const { Writer } = rhea.types as unknown as {
  Writer: new () => { write(value: Typed): void; toBuffer(): Buffer };
};

export const protocol = {
  sasl: Buffer.from('AMQP\x03\x01\x00\x00', 'latin1'),
  amqp: Buffer.from('AMQP\x00\x01\x00\x00', 'latin1'),
};

export const code = {
  ...{ open: 0x10, begin: 0x11, attach: 0x12, flow: 0x13, transfer: 0x14, disposition: 0x15 },
  ...{ detach: 0x16, end: 0x17, close: 0x18, saslInit: 0x41 },
} as const;

export function encoded(value: Typed): Buffer {
  const writer = new Writer();
  writer.write(value);
  return Buffer.from(writer.toBuffer());
}

export const described = (descriptor: number, fields: readonly unknown[]): Typed =>
  types.wrap_described(types.wrap_list([...fields]), descriptor);

export interface FrameOptions {
  payload?: Buffer;
  type?: number;
  channel?: number;
}

export function frame(
  descriptor: number,
  fields: readonly unknown[],
  { payload = Buffer.alloc(0), type = 0, channel = 0 }: FrameOptions = {},
): Buffer {
  return rawFrame(Buffer.concat([encoded(described(descriptor, fields)), payload]), type, channel);
}

export function rawFrame(body: Buffer, type = 0, channel = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length);
  head[4] = 2;
  head[5] = type;
  head.writeUInt16BE(channel, 6);
  return Buffer.concat([head, body]);
}

const uint = (n: number) => types.wrap_uint(n);

export const source = (address: string) => described(0x28, [address]);
export const target = (address: string) => described(0x29, [address]);

/** SASL, open and begin: all that comes before links, in one piece. */
export const hello = (window = 2048): Buffer =>
  Buffer.concat([
    protocol.sasl,
    frame(code.saslInit, [types.wrap_symbol('ANONYMOUS')], { type: 1 }),
    protocol.amqp,
    frame(code.open, ['wire']),
    frame(code.begin, [null, uint(0), uint(window), uint(2048)]),
  ]);

/** `handle` of a link on which the client sends, or with `receives` the other way. */
export const attach = (handle: number, address: string, receives = false, more: unknown[] = []) =>
  frame(code.attach, [
    `link-${handle}`,
    uint(handle),
    receives,
    null,
    null,
    source(receives ? address : 'wire'),
    target(receives ? 'wire' : address),
    null,
    null,
    receives ? null : uint(0),
    ...more,
  ]);

export const credit = (handle: number, count: number, window = 2048) =>
  frame(code.flow, [
    ...[uint(0), uint(window), uint(0), uint(2048)],
    ...[uint(handle), uint(0), uint(count)],
  ]);

export interface Heard {
  channel: number;
  code: number;
  fields: unknown[];
  /** Of a disposition: the code of its outcome, and the fields of its error. */
  states: number | undefined;
  error: unknown[] | undefined;
  /** Of a disposition: the fields of its outcome. */
  state: unknown[] | undefined;
  payload: Buffer;
}

interface ReadFrame {
  channel: number;
  performative?: { value: unknown[]; constructor: { descriptor?: { numeric: number } } };
  payload?: Buffer;
}

/** A connection that says what it is told and hears everything. */
export async function wire(port: number) {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  const heard: Heard[] = [];
  const waiting: { wanted: (heard: Heard) => boolean; found: (heard: Heard) => void }[] = [];
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let next = take(); next; next = take()) {
      heard.push(next);
      for (const each of waiting) if (each.wanted(next)) each.found(next);
    }
  });
  function take(): Heard | undefined {
    while (rest.length >= 8 && rest.toString('latin1', 0, 4) === 'AMQP') rest = rest.subarray(8);
    const size = rest.length >= 4 ? rest.readUInt32BE(0) : Number.POSITIVE_INFINITY;
    if (rest.length < size) return undefined;
    const bytes = rest.subarray(0, size);
    rest = rest.subarray(size);
    const { performative, payload, channel } = readFrame(bytes);
    const state = performative?.value[4] as { descriptor?: Typed; value?: Typed[] } | undefined;
    return {
      channel,
      states: state?.descriptor && Number(state.descriptor.value),
      state: state?.value,
      error: (state?.value?.[0] as { value?: unknown[] } | undefined)?.value,
      code: performative?.constructor.descriptor?.numeric ?? 0,
      fields: (performative?.value ?? []).map((field) => types.unwrap(field as Typed)),
      payload: payload ?? Buffer.alloc(0),
    };
  }
  await once(socket, 'connect');
  return {
    socket,
    heard,
    say: (...frames: Buffer[]) => socket.write(Buffer.concat(frames)),
    /** The first frame, also of those that came, that is of this code and of which `test` is true. */
    hear(wanted: number, test: (heard: Heard) => boolean = () => true): Promise<Heard> {
      const is = (each: Heard) => each.code === wanted && test(each);
      const came = heard.find(is);
      if (came) return Promise.resolve(came);
      return new Promise((found) => waiting.push({ wanted: is, found }));
    },
    closed: new Promise((resolve) => socket.once('close', resolve)),
  };
}

// Not in rhea's typings; the broker's own reading of frames is not used to test it.
import { createRequire } from 'node:module';

const { read_frame: readFrame } = createRequire(import.meta.url)('rhea/lib/frames.js') as {
  read_frame(bytes: Buffer): ReadFrame;
};
