/**
 * AMQP messages as bytes: taken apart only as far as a broker must, put together again unchanged.
 *
 * The bare message (properties to footer) is kept byte for byte, because AMQP types matter to strict
 * clients and a decode and encode through a JavaScript value would lose them (SERVICE-BUS.md, 3).
 */
import rhea from 'rhea';
import {
  compound,
  decodeAt,
  decodeValue,
  described,
  endOfValue,
  itemsOf,
  itemsWithin,
  MalformedMessage,
  pairsOf,
} from './encoded.ts';
import { isKind } from './kinds.ts';
import { checkedSections, type Section, section, sectionsOf } from './sections.ts';
import { encodeValue } from './types.ts';

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
  /** The lock token of one that does not come as a delivery, whose tag would say it. */
  lockToken?: Buffer | undefined;
}

export type Annotation =
  | [name: string, type: 'int' | 'long' | 'timestamp', value: number]
  | [name: string, type: 'string', value: string];

/** The decoded values at these places of an encoded list, without taking the others apart. */
function itemsAt(buffer: Buffer, at: number, places: readonly number[]): unknown[] {
  const { start: first, count } = itemsWithin(buffer, at);
  const values: unknown[] = [];
  for (let i = 0, start = first; i < count; i++) {
    const end = endOfValue(buffer, start);
    if (places.includes(i)) values[i] = decodeAt(buffer, start, end);
    start = end;
  }
  return values;
}

// Set by the broker on every delivery (SERVICE-BUS.md, 3.1): a sender's own values do not survive.
const owned = new Set([
  'x-opt-sequence-number',
  'x-opt-enqueue-sequence-number',
  'x-opt-enqueued-time',
  'x-opt-locked-until',
  'x-opt-message-state',
  'x-opt-deadletter-source',
]);

/**
 * Takes an encoded message apart; `newId` names one that has no message id, as the service does.
 *
 * @throws MalformedMessage for what later could not be read, changed or handed over
 */
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
  for (const part of checkedSections(raw)) {
    if (part.code === section.header) readHeader(content, itemsOf(raw, part.value));
    else if (part.code === section.messageAnnotations)
      readAnnotations(content, itemsOf(raw, part.value));
    else if (part.code !== section.deliveryAnnotations) {
      bareFrom = Math.min(bareFrom, part.start);
      if (part.code === section.properties) properties = part;
    }
  }
  const fields = properties ? itemsAt(raw, properties.value, [0, 10]) : [];
  const [id, group] = [fields[0], fields[10]];
  content.sessionId = typeof group === 'string' ? group : undefined;
  const hasId = id !== null && id !== undefined && id !== '';
  content.messageId = hasId ? keyOfId(raw, properties?.value ?? 0, id) : newId();
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

/** Ids of different types are different, however they read: a text stands for itself. */
function keyOfId(raw: Buffer, list: number, id: unknown): string {
  if (typeof id === 'string') return id;
  const { start } = itemsWithin(raw, list);
  const kind = raw[start] === 0x98 ? 'uuid' : isKind('binary', raw[start]) ? 'binary' : 'ulong';
  return `\u0000${kind}:${Buffer.isBuffer(id) ? id.toString('hex') : String(id)}`;
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
      const ms = at instanceof Date ? at.getTime() : Number(at);
      if (Number.isNaN(ms)) throw new MalformedMessage('The time to enqueue it at is no time.');
      content.scheduledFor = ms;
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
export function formatMessage({
  content,
  deliveryCount,
  annotations,
  lockToken,
}: Envelope): Buffer {
  const { bare, annotations: kept } = content;
  const inside = lockToken ? deliveryAnnotations(lockToken) : none;
  let size = headerBytes + 12 + inside.length + bare.length;
  for (const [name, type, value] of annotations)
    size += keyOf(name).length + (type === 'string' ? 5 + Buffer.byteLength(value) : 9);
  for (const pair of kept) size += pair.length;
  const buffer = Buffer.allocUnsafe(size);
  let at = writeHeader(buffer, content.header, deliveryCount);
  at += inside.copy(buffer, at);
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

const none = Buffer.alloc(0);

const deliveryAnnotations = (token: Buffer) =>
  described(
    section.deliveryAnnotations,
    compound('map', [keyOf('x-opt-lock-token'), encodeValue(types.wrap_uuid(token))]),
  );

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

/** Properties and application properties, and no body at all. */
export function withoutBody(bare: Buffer): Buffer {
  const body = sectionsOf(bare).find(({ code }) => code > section.applicationProperties);
  return bare.subarray(0, body?.start);
}

/** The messages inside a batch: each `data` section of the envelope is one (message format 0x80013700). */
export function messagesOfBatch(raw: Buffer): Buffer[] {
  return checkedSections(raw)
    .filter(({ code }) => code === section.data)
    .map(({ value, end }) => {
      const wide = raw[value] === 0xb0;
      return raw.subarray(value + (wide ? 5 : 2), end);
    });
}
