/** Encoded AMQP values: where they end, whether they are well formed, what is in them (AMQP 1.0, part 1). */
import rhea from 'rhea';
import { codec } from './rhea-internals.ts';

export class MalformedMessage extends Error {}

// Deeper than anybody nests, shallower than the stack of whoever decodes it.
const deepest = 64;
// An item of no width costs no byte: without a bound a few bytes announce four milliards of them.
const mostOfNoWidth = 1024;

const widths = new Map<number, number>([
  ...[0x40, 0x41, 0x42, 0x43, 0x44, 0x45].map((code) => [code, 0] as const),
  ...[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56].map((code) => [code, 1] as const),
  ...[0x60, 0x61].map((code) => [code, 2] as const),
  ...[0x70, 0x71, 0x72, 0x73, 0x74].map((code) => [code, 4] as const),
  ...[0x80, 0x81, 0x82, 0x83, 0x84].map((code) => [code, 8] as const),
  ...[0x94, 0x98].map((code) => [code, 16] as const),
]);
// Of their sizes: one byte or four.
const variable = new Map([...[0xa0, 0xa1, 0xa3].map(one), ...[0xb0, 0xb1, 0xb3].map(four)]);
const compounds = new Map([...[0xc0, 0xc1].map(one), ...[0xd0, 0xd1].map(four)]);
const arrays = new Map([[0xe0].map(one), [0xf0].map(four)].flat());

function one(code: number): readonly [number, number] {
  return [code, 1];
}
function four(code: number): readonly [number, number] {
  return [code, 4];
}

const isMap = (code: number) => code === 0xc1 || code === 0xd1;

function numberAt(buffer: Buffer, at: number, width: number, limit: number): number {
  if (at + width > limit) throw new MalformedMessage('It ends inside a value.');
  return width === 1 ? buffer.readUInt8(at) : buffer.readUInt32BE(at);
}

/**
 * Where the value that starts at `at` ends. Looks at everything in it: what passes can be decoded at a
 * cost that its length bounds. @throws MalformedMessage
 */
export function checkValue(buffer: Buffer, at: number, limit: number, depth = 0): number {
  if (depth > deepest) throw new MalformedMessage('It is nested too deeply.');
  const code = numberAt(buffer, at, 1, limit);
  if (code !== 0) return checkBody(buffer, code, at + 1, limit, depth);
  const value = checkValue(buffer, at + 1, limit, depth + 1);
  return checkValue(buffer, value, limit, depth + 1);
}

function checkBody(buffer: Buffer, code: number, at: number, limit: number, depth: number): number {
  const end = endOfBody(buffer, code, at, limit);
  const compound = compounds.get(code);
  if (compound !== undefined) checkItems(buffer, code, at + compound, end, depth);
  const array = arrays.get(code);
  if (array !== undefined) checkArray(buffer, at + array, array, end, depth);
  return end;
}

function endOfBody(buffer: Buffer, code: number, at: number, limit: number): number {
  const width = widths.get(code);
  const size = variable.get(code) ?? compounds.get(code) ?? arrays.get(code);
  if (width === undefined && size === undefined)
    throw new MalformedMessage(`0x${code.toString(16)} is no AMQP type.`);
  const end = size ? at + size + numberAt(buffer, at, size, limit) : at + (width ?? 0);
  if (end > limit) throw new MalformedMessage('It ends inside a value.');
  return end;
}

function checkItems(buffer: Buffer, code: number, at: number, end: number, depth: number): void {
  const width = compounds.get(code) ?? 1;
  const count = numberAt(buffer, at, width, end);
  if (isMap(code) && count % 2) throw new MalformedMessage('A map lacks a value.');
  let position = at + width;
  for (let n = 0; n < count; n++) position = checkValue(buffer, position, end, depth + 1);
  if (position !== end) throw new MalformedMessage('A list or map is not as long as it says.');
}

function checkArray(buffer: Buffer, at: number, width: number, end: number, depth: number): void {
  const count = numberAt(buffer, at, width, end);
  let position = at + width;
  while (numberAt(buffer, position, 1, end) === 0)
    position = checkValue(buffer, position + 1, end, depth + 1);
  const code = numberAt(buffer, position, 1, end);
  position++;
  if (widths.get(code) === 0 && count > mostOfNoWidth)
    throw new MalformedMessage('An array has too many items.');
  if (depth + 1 > deepest) throw new MalformedMessage('It is nested too deeply.');
  for (let n = 0; n < count; n++) position = checkBody(buffer, code, position, end, depth + 1);
  if (position !== end) throw new MalformedMessage('An array is not as long as it says.');
}

// Bytes of a fixed-width value by the first digit of its type code, from 0x4 on.
const fixedWidths = [0, 1, 2, 4, 8, 16];

/** Where the encoded value that starts at `at` ends, if it was checked. */
export function endOfValue(buffer: Buffer, at: number): number {
  const code = buffer[at];
  if (code === undefined) throw new MalformedMessage('It ends inside a value.');
  if (code === 0) return endOfValue(buffer, endOfValue(buffer, at + 1));
  const width = code >> 4;
  if (width >= 4 && width <= 9) return at + 1 + (fixedWidths[width - 4] ?? 0);
  if (width === 0xa || width === 0xc || width === 0xe) return at + 2 + buffer.readUInt8(at + 1);
  if (width === 0xb || width === 0xd || width === 0xf) return at + 5 + buffer.readUInt32BE(at + 1);
  throw new MalformedMessage(`0x${code.toString(16)} is no AMQP type.`);
}

export const decodeValue = (bytes: Buffer): unknown =>
  rhea.types.unwrap(new codec.Reader(bytes).read());

/** Where the items of an encoded list or map begin, and how many they are. */
export function itemsWithin(buffer: Buffer, at: number): { start: number; count: number } {
  const code = buffer[at];
  if (code === 0x45) return { start: at + 1, count: 0 };
  const wide = code === 0xd0 || code === 0xd1;
  if (!wide && code !== 0xc0 && code !== 0xc1)
    throw new MalformedMessage('Expected a list or map.');
  const count = wide ? buffer.readUInt32BE(at + 5) : buffer.readUInt8(at + 2);
  return { start: at + (wide ? 9 : 3), count };
}

/** The encoded values inside an encoded list or map. */
export function itemsOf(buffer: Buffer, at: number): Buffer[] {
  const { start, count } = itemsWithin(buffer, at);
  const items: Buffer[] = [];
  for (let i = 0, position = start; i < count; i++) {
    const end = endOfValue(buffer, position);
    items.push(buffer.subarray(position, end));
    position = end;
  }
  return items;
}

/** Short strings, which most fields are, without a copy; the rest as any value. */
export function decodeAt(buffer: Buffer, start: number, end: number): unknown {
  if (buffer[start] === 0xa1) return buffer.toString('utf8', start + 2, end);
  if (buffer[start] === 0x40) return null;
  return decodeValue(buffer.subarray(start, end));
}

/** The keys and values of an encoded map, which come in turns. */
export function* pairsOf(items: readonly Buffer[]): Generator<[key: Buffer, value: Buffer]> {
  for (let i = 0; i < items.length; i += 2) {
    const [key, value] = items.slice(i, i + 2);
    if (key && value) yield [key, value];
  }
}

export function compound(listOrMap: 'list' | 'map', items: readonly Buffer[]): Buffer {
  const body = Buffer.concat(items);
  const head = Buffer.alloc(9);
  head[0] = listOrMap === 'list' ? 0xd0 : 0xd1;
  head.writeUInt32BE(body.length + 4, 1);
  head.writeUInt32BE(items.length, 5);
  return Buffer.concat([head, body]);
}

export const described = (code: number, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x00, 0x53, code]), value]);
