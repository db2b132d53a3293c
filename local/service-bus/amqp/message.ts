/**
 * AMQP messages as bytes: taken apart only as far as a broker must, put together again unchanged.
 *
 * The bare message (properties to footer) is kept byte for byte, because AMQP types matter to strict
 * clients and a decode and encode through a JavaScript value would lose them (SERVICE-BUS.md, 3).
 */
import rhea from 'rhea';
import { codec } from './rhea-internals.ts';
import { encodeValue } from './types.ts';

const section = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
} as const;

export interface Header {
  readonly durable: boolean;
  readonly priority: number | undefined;
  readonly ttl: number | undefined;
}

// Most messages have neither: a million share these.
const noHeader: Header = { durable: false, priority: undefined, ttl: undefined };
const noAnnotations: readonly Buffer[] = [];

/** What a broker needs to know of a message, and the bytes of the rest. */
export interface Content {
  messageId: string;
  sessionId: string | undefined;
  /** The sender's header; ttl in milliseconds. */
  header: Header;
  /** The sender's message annotations, each an encoded key and value, without those the broker owns. */
  annotations: readonly Buffer[];
  scheduledFor: number | undefined;
  bare: Buffer;
}

/** What the broker says of a message when it hands it over. */
export interface Envelope {
  content: Content;
  deliveryCount: number;
  annotations: Annotation[];
}

export type Annotation =
  | [name: string, type: 'int' | 'long' | 'timestamp', value: number]
  | [name: string, type: 'string', value: string];

export class MalformedMessage extends Error {}

interface Section {
  code: number;
  start: number;
  value: number;
  end: number;
}

// Bytes of a fixed-width value by the first digit of its type code, from 0x4 on.
const fixedWidths = [0, 1, 2, 4, 8, 16];

/** Where the encoded value that starts at `at` ends (AMQP 1.0 part 1, 1.2 and 1.6). */
function endOfValue(buffer: Buffer, at: number): number {
  const code = buffer[at];
  if (code === undefined) throw new MalformedMessage('The message ends inside a value.');
  if (code === 0) return endOfValue(buffer, endOfValue(buffer, at + 1));
  const width = code >> 4;
  if (width >= 4 && width <= 9) return at + 1 + (fixedWidths[width - 4] ?? 0);
  if (width === 0xa || width === 0xc || width === 0xe) return at + 2 + buffer.readUInt8(at + 1);
  if (width === 0xb || width === 0xd || width === 0xf) return at + 5 + buffer.readUInt32BE(at + 1);
  throw new MalformedMessage(`0x${code.toString(16)} is no AMQP type.`);
}

function sectionsOf(buffer: Buffer): Section[] {
  const sections: Section[] = [];
  for (let start = 0; start < buffer.length; ) {
    if (buffer[start] !== 0) throw new MalformedMessage('A message section has no descriptor.');
    const value = endOfValue(buffer, start + 1);
    const end = endOfValue(buffer, value);
    if (end > buffer.length) throw new MalformedMessage('The message ends inside a section.');
    const code =
      buffer[start + 1] === 0x53 ? (buffer[start + 2] ?? 0) : codeAt(buffer, start + 1, value);
    sections.push({ code, start, value, end });
    start = end;
  }
  return sections;
}

const codeAt = (buffer: Buffer, start: number, end: number) =>
  Number(decodeValue(buffer.subarray(start, end)));

const decodeValue = (bytes: Buffer): unknown => rhea.types.unwrap(new codec.Reader(bytes).read());

/** The encoded values inside an encoded list or map. */
function itemsOf(buffer: Buffer, at: number): Buffer[] {
  const code = buffer[at];
  if (code === 0x45) return [];
  const wide = code === 0xd0 || code === 0xd1;
  if (!wide && code !== 0xc0 && code !== 0xc1)
    throw new MalformedMessage('Expected a list or map.');
  const count = wide ? buffer.readUInt32BE(at + 5) : buffer.readUInt8(at + 2);
  const items: Buffer[] = [];
  for (let i = 0, position = at + (wide ? 9 : 3); i < count; i++) {
    const end = endOfValue(buffer, position);
    items.push(buffer.subarray(position, end));
    position = end;
  }
  return items;
}

/** The decoded values at these places of an encoded list, without taking the others apart. */
function itemsAt(buffer: Buffer, at: number, places: readonly number[]): unknown[] {
  const code = buffer[at];
  if (code === 0x45) return [];
  const wide = code === 0xd0;
  if (!wide && code !== 0xc0) throw new MalformedMessage('Expected a list.');
  const count = wide ? buffer.readUInt32BE(at + 5) : buffer.readUInt8(at + 2);
  const values: unknown[] = [];
  for (let i = 0, start = at + (wide ? 9 : 3); i < count; i++) {
    const end = endOfValue(buffer, start);
    if (places.includes(i)) values.push(decodeAt(buffer, start, end));
    start = end;
  }
  return values;
}

/** Short strings, which most fields are, without a copy; the rest as any value. */
function decodeAt(buffer: Buffer, start: number, end: number): unknown {
  if (buffer[start] === 0xa1) return buffer.toString('utf8', start + 2, end);
  if (buffer[start] === 0x40) return null;
  return decodeValue(buffer.subarray(start, end));
}

/** The keys and values of an encoded map, which come in turns. */
function* pairsOf(items: readonly Buffer[]): Generator<[key: Buffer, value: Buffer]> {
  for (let i = 0; i < items.length; i += 2) {
    const [key, value] = items.slice(i, i + 2);
    if (key && value) yield [key, value];
  }
}

function compound(listOrMap: 'list' | 'map', items: readonly Buffer[]): Buffer {
  const body = Buffer.concat(items);
  const head = Buffer.alloc(9);
  head[0] = listOrMap === 'list' ? 0xd0 : 0xd1;
  head.writeUInt32BE(body.length + 4, 1);
  head.writeUInt32BE(items.length, 5);
  return Buffer.concat([head, body]);
}

const described = (code: number, value: Buffer) =>
  Buffer.concat([Buffer.from([0x00, 0x53, code]), value]);

// Set by the broker on every delivery (SERVICE-BUS.md, 3.1): a sender's own values do not survive.
const owned = new Set([
  'x-opt-sequence-number',
  'x-opt-enqueue-sequence-number',
  'x-opt-enqueued-time',
  'x-opt-locked-until',
  'x-opt-message-state',
  'x-opt-deadletter-source',
]);

/** Takes an encoded message apart; `newId` names one that has no message id, as the service does. */
export function parseMessage(raw: Buffer, newId: () => string): Content {
  const content: Content = {
    messageId: '',
    sessionId: undefined,
    header: noHeader,
    annotations: noAnnotations,
    scheduledFor: undefined,
    bare: raw.subarray(raw.length),
  };
  let properties: Section | undefined;
  let bareFrom = raw.length;
  for (const part of sectionsOf(raw)) {
    if (part.code === section.header) readHeader(content, itemsOf(raw, part.value));
    else if (part.code === section.messageAnnotations)
      readAnnotations(content, itemsOf(raw, part.value));
    else if (part.code !== section.deliveryAnnotations) {
      bareFrom = Math.min(bareFrom, part.start);
      if (part.code === section.properties) properties = part;
    }
  }
  const [id, group] = properties ? itemsAt(raw, properties.value, [0, 10]) : [];
  content.sessionId = typeof group === 'string' ? group : undefined;
  const hasId = id !== null && id !== undefined && id !== '';
  content.messageId = hasId ? String(id) : newId();
  // Copied: a slice of the socket's chunk would keep the whole chunk in memory.
  content.bare = hasId
    ? Buffer.from(raw.subarray(bareFrom))
    : Buffer.concat([
        described(
          section.properties,
          compound('list', [encodeValue(content.messageId), ...others(raw, properties)]),
        ),
        raw.subarray(properties ? properties.end : bareFrom),
      ]);
  return content;
}

const others = (raw: Buffer, properties: Section | undefined) =>
  properties ? itemsOf(raw, properties.value).slice(1) : [];

function readHeader(content: Content, fields: Buffer[]): void {
  const [durable, priority, ttl] = fields.map(decodeValue);
  content.header = {
    durable: durable === true,
    priority: typeof priority === 'number' ? priority : undefined,
    ttl: typeof ttl === 'number' ? ttl : undefined,
  };
}

function readAnnotations(content: Content, items: Buffer[]): void {
  const annotations: Buffer[] = [];
  for (const [key, value] of pairsOf(items)) {
    const name = String(decodeValue(key));
    if (owned.has(name)) continue;
    annotations.push(Buffer.concat([key, value]));
    if (name === 'x-opt-scheduled-enqueue-time') {
      const at = decodeValue(value);
      content.scheduledFor = at instanceof Date ? at.getTime() : Number(at);
    }
  }
  if (annotations.length > 0) content.annotations = annotations;
}

const { types } = rhea;

// An encoded key each: there are few, and every delivery has them.
const keys = new Map<string, Buffer>();

function keyOf(name: string): Buffer {
  const known = keys.get(name);
  if (known) return known;
  const key = encodeValue(types.wrap_symbol(name));
  keys.set(name, key);
  return key;
}

/** The message as a receiver gets it: written into one buffer, as it is done for every delivery. */
export function formatMessage({ content, deliveryCount, annotations }: Envelope): Buffer {
  const { bare, annotations: kept } = content;
  let size = headerBytes + 12 + bare.length;
  for (const [name, type, value] of annotations)
    size += keyOf(name).length + (type === 'string' ? 5 + Buffer.byteLength(value) : 9);
  for (const pair of kept) size += pair.length;
  const buffer = Buffer.allocUnsafe(size);
  let at = writeHeader(buffer, content.header, deliveryCount);
  at = buffer.writeUIntBE(0x005372, at, 3);
  const map = at;
  at += 9;
  for (const annotation of annotations) at = writeAnnotation(buffer, at, annotation);
  for (const pair of kept) at += pair.copy(buffer, at);
  buffer[map] = 0xd1;
  buffer.writeUInt32BE(at - map - 5, map + 1);
  buffer.writeUInt32BE((annotations.length + kept.length) * 2, map + 5);
  at += bare.copy(buffer, at);
  return buffer.subarray(0, at);
}

// Descriptor, list head, and five fields of at most 5 bytes.
const headerBytes = 3 + 3 + 5 * 5;

function writeHeader(buffer: Buffer, header: Content['header'], deliveryCount: number): number {
  buffer.writeUIntBE(0x005370, 0, 3);
  buffer[3] = 0xc0;
  buffer[5] = 5;
  let at = 6;
  buffer[at++] = header.durable ? 0x41 : 0x42;
  if (header.priority === undefined) buffer[at++] = 0x40;
  else at = buffer.writeUInt8(header.priority, buffer.writeUInt8(0x50, at));
  if (header.ttl === undefined) buffer[at++] = 0x40;
  else at = buffer.writeUInt32BE(header.ttl, buffer.writeUInt8(0x70, at));
  buffer[at++] = 0x42;
  at = buffer.writeUInt32BE(deliveryCount, buffer.writeUInt8(0x70, at));
  buffer[4] = at - 5;
  return at;
}

function writeAnnotation(buffer: Buffer, start: number, [name, type, value]: Annotation): number {
  const at = start + keyOf(name).copy(buffer, start);
  if (type === 'int') return buffer.writeInt32BE(value, buffer.writeUInt8(0x71, at));
  if (type === 'string') {
    const length = buffer.write(value, at + 5);
    buffer[at] = 0xb1;
    buffer.writeUInt32BE(length, at + 1);
    return at + 5 + length;
  }
  buffer[at] = type === 'long' ? 0x81 : 0x83;
  buffer.writeInt32BE(Math.floor(value / 2 ** 32), at + 1);
  return buffer.writeUInt32BE(value >>> 0, at + 5);
}

/** The decoded fields of the properties section, in its order. */
export function fieldsOf(bare: Buffer): unknown[] {
  const properties = sectionsOf(bare).find(({ code }) => code === section.properties);
  return properties ? itemsOf(bare, properties.value).map(decodeValue) : [];
}

/** The bare message with these fields of its properties section; null for none. */
export function withFields(bare: Buffer, changes: ReadonlyMap<number, unknown>): Buffer {
  const properties = sectionsOf(bare).find(({ code }) => code === section.properties);
  const fields = properties ? itemsOf(bare, properties.value) : [];
  for (const [place, value] of changes) {
    while (fields.length <= place) fields.push(Buffer.from([0x40]));
    // A content type is a symbol, all else that can be set a string.
    fields[place] = encodeValue(
      place === 6 && value !== null ? types.wrap_symbol(String(value)) : value,
    );
  }
  return Buffer.concat([
    described(section.properties, compound('list', fields)),
    bare.subarray(properties?.end ?? 0),
  ]);
}

export function applicationPropertiesOf(bare: Buffer): Map<string, unknown> {
  const found = sectionsOf(bare).find(({ code }) => code === section.applicationProperties);
  const items = found ? itemsOf(bare, found.value) : [];
  return new Map(
    [...pairsOf(items)].map(([key, value]) => [String(decodeValue(key)), decodeValue(value)]),
  );
}

/**
 * The bare message with these application properties added or replaced, those with null removed; the
 * others stay as they are.
 */
export function withApplicationProperties(bare: Buffer, changes: Record<string, unknown>): Buffer {
  const changed = Object.entries(changes).filter(([, value]) => value !== undefined);
  if (changed.length === 0) return bare;
  const added = changed.filter(([, value]) => value !== null);
  const names = new Set(changed.map(([name]) => name));
  const parts = sectionsOf(bare);
  const properties = parts.find(({ code }) => code === section.properties);
  const existing = parts.find(({ code }) => code === section.applicationProperties);
  const items = existing ? itemsOf(bare, existing.value) : [];
  const kept: Buffer[] = [];
  for (const [key, value] of pairsOf(items))
    if (!names.has(String(decodeValue(key)))) kept.push(key, value);
  const map = compound('map', [
    ...kept,
    ...added.flatMap(([name, value]) => [encodeValue(name), encodeValue(value)]),
  ]);
  const at = existing?.start ?? properties?.end ?? 0;
  return Buffer.concat([
    bare.subarray(0, at),
    described(section.applicationProperties, map),
    bare.subarray(existing?.end ?? at),
  ]);
}

/** Properties and application properties, and an empty body. */
export function withoutBody(bare: Buffer): Buffer {
  const body = sectionsOf(bare).find(({ code }) => code > section.applicationProperties);
  return Buffer.concat([bare.subarray(0, body?.start), described(0x75, Buffer.from([0xa0, 0]))]);
}

/** The messages inside a batch: each `data` section of the envelope is one (message format 0x80013700). */
export function messagesOfBatch(raw: Buffer): Buffer[] {
  return sectionsOf(raw)
    .filter(({ code }) => code === 0x75)
    .map(({ value, end }) => {
      const wide = raw[value] === 0xb0;
      return raw.subarray(value + (wide ? 5 : 2), end);
    });
}
