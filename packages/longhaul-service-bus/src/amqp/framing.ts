/**
 * Bytes of a client as frames, before rhea sees them: each whole, of a size that is bounded, and with a
 * performative whose fields are of their types. rhea trusts all of that.
 */
import { checkValue, MalformedMessage } from './encoded.ts';
import { checkFields, descriptorAt, type Field, fieldsOf } from './kinds.ts';

type Layer = 'header' | 'sasl' | 'amqp';

const performatives: Record<string, { code: number; layer: Layer; fields: string }> = {
  open: { code: 0x10, layer: 'amqp', fields: 'text! text uint ushort uint any any any any any' },
  begin: { code: 0x11, layer: 'amqp', fields: 'ushort uint! uint! uint! uint any any any' },
  attach: {
    code: 0x12,
    layer: 'amqp',
    fields: 'text! uint! boolean! ubyte ubyte any any any boolean uint ulong any any any',
  },
  flow: {
    code: 0x13,
    layer: 'amqp',
    fields: 'uint uint! uint! uint! uint uint uint uint boolean boolean any',
  },
  transfer: {
    code: 0x14,
    layer: 'amqp',
    fields: 'uint! uint binary uint boolean boolean ubyte any boolean boolean boolean',
  },
  disposition: { code: 0x15, layer: 'amqp', fields: 'boolean! uint! uint boolean any boolean' },
  detach: { code: 0x16, layer: 'amqp', fields: 'uint! boolean any' },
  end: { code: 0x17, layer: 'amqp', fields: 'any' },
  close: { code: 0x18, layer: 'amqp', fields: 'any' },
  'sasl-init': { code: 0x41, layer: 'sasl', fields: 'text! binary text' },
  'sasl-response': { code: 0x43, layer: 'sasl', fields: 'binary!' },
};

const byDescriptor = new Map<number | string, { layer: Layer; fields: Field[] }>(
  Object.entries(performatives).flatMap(([name, { code, layer, fields }]) => {
    const known = { layer, fields: fieldsOf(fields) };
    return [
      [code, known],
      [`amqp:${name}:list`, known],
    ] as const;
  }),
);

const headerBytes = 8;
const name = 0x41_4d_51_50;
// A client may go on before it has heard the outcome of SASL: an open, some sessions and links.
const mostHeld = 1024 * 1024;

export interface FramingOptions {
  maxFrameSize: number;
  /** Whole headers and frames. */
  deliver(bytes: Buffer): void;
  isSaslOver(): boolean;
}

export class Framing {
  #layer: Layer = 'header';
  #pending: Buffer[] = [];
  #length = 0;
  /** As many bytes are there to be before it is worth a look. */
  #needed = headerBytes;
  readonly #options: FramingOptions;

  constructor(options: FramingOptions) {
    this.#options = options;
  }

  /** @throws MalformedMessage */
  push(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    if (this.#length >= this.#needed) this.#take();
  }

  /** SASL may be over: what came in one write with it may go on. @throws MalformedMessage */
  resume(): void {
    if (this.#layer === 'sasl' && this.#length >= 4) this.#take();
  }

  #take(): void {
    const [first = Buffer.alloc(0), ...more] = this.#pending;
    const buffer = more.length === 0 ? first : Buffer.concat(this.#pending, this.#length);
    let at = 0;
    for (let end = this.#next(buffer, at); end !== undefined; end = this.#next(buffer, at))
      at = end;
    this.#pending = at < buffer.length ? [buffer.subarray(at)] : [];
    this.#length = buffer.length - at;
    if (at > 0) this.#options.deliver(buffer.subarray(0, at));
  }

  /** Where the header or frame at `at` ends; undefined when more has to come. */
  #next(buffer: Buffer, at: number): number | undefined {
    const left = buffer.length - at;
    if (this.#layer === 'header') return this.#header(buffer, at, left);
    this.#needed = 4;
    if (left < 4) return undefined;
    const size = buffer.readUInt32BE(at);
    if (this.#layer === 'sasl' && size === name) return this.#afterSasl(buffer, at, left);
    if (size < 8 || size > this.#options.maxFrameSize)
      throw new MalformedMessage(`A frame of ${size} bytes.`);
    this.#needed = size;
    if (left < size) return undefined;
    checkFrame(buffer, at, at + size, this.#layer);
    return at + size;
  }

  #header(buffer: Buffer, at: number, left: number): number | undefined {
    this.#needed = headerBytes;
    if (left < headerBytes) return undefined;
    const protocol = buffer[at + 4];
    if (buffer.readUInt32BE(at) !== name || (protocol !== 0 && protocol !== 3))
      throw new MalformedMessage('No header of AMQP 1.0.');
    this.#layer = protocol === 3 ? 'sasl' : 'amqp';
    return at + headerBytes;
  }

  #afterSasl(buffer: Buffer, at: number, left: number): number | undefined {
    if (this.#options.isSaslOver()) {
      this.#layer = 'header';
      return this.#header(buffer, at, left);
    }
    if (left > mostHeld) throw new MalformedMessage('Too much before SASL is over.');
    return undefined;
  }
}

/** @throws MalformedMessage */
function checkFrame(buffer: Buffer, start: number, end: number, layer: Layer): void {
  const at = start + 4 * (buffer[start + 4] ?? 0);
  if (at < start + 8 || at > end) throw new MalformedMessage('A frame with a wrong offset.');
  // An empty frame is a sign of life.
  if (at === end) return;
  if (buffer[at] !== 0) throw new MalformedMessage('A frame without a performative.');
  const value = checkValue(buffer, at + 1, end, 1);
  const known = byDescriptor.get(descriptorAt(buffer, at + 1, value) ?? '');
  if (known?.layer !== layer) throw new MalformedMessage('An unknown performative.');
  checkFields(buffer, value, checkValue(buffer, value, end, 1), known.fields);
}
