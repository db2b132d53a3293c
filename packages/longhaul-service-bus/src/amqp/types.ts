/** AMQP values with the exact types that strict clients expect; rhea alone makes every number unsigned. */
import rhea from 'rhea';
import { codec } from './rhea-internals.ts';

export type { Typed } from 'rhea';

const { types } = rhea;

export const int = (n: number) => types.wrap_int(n);
export const timestamp = (ms: number) => types.wrap_timestamp(ms);
export const symbol = (s: string) => types.wrap_symbol(s);
export const string = (s: string) => types.wrap_string(s);

const code = { long: 0x81, timestamp: 0x83, uuid: 0x98, string: 0xb1 } as const;
export const arrayOf = (type: keyof typeof code, items: unknown[]) =>
  types.wrap_array(items, code[type], undefined);

/** .NET ticks: 100 ns since the year 1, as an AMQP long; beyond 2^53, so as eight bytes. */
export function ticks(ms: number) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(621_355_968_000_000_000n + BigInt(ms) * 10_000n);
  return types.wrap_long(bytes);
}

/** A number that may have come as an AMQP long too large for rhea, which then gives its bytes. */
export function toNumber(value: unknown): number {
  if (Buffer.isBuffer(value) && value.length === 8) return Number(value.readBigInt64BE());
  return Number(value);
}

function fitting(value: unknown) {
  if (value === null || value === undefined) return types.wrap(null);
  if (typeof value === 'number')
    return Number.isSafeInteger(value)
      ? Math.abs(value) < 2 ** 31
        ? types.wrap_int(value)
        : types.wrap_long(value)
      : types.wrap_double(value);
  if (value instanceof Date) return types.wrap_timestamp(value.getTime());
  return types.wrap(value);
}

/** One encoded value; plain JavaScript values take the type that a .NET client would have sent. */
export function encodeValue(value: unknown): Buffer {
  const writer = new codec.Writer(Buffer.alloc(64));
  writer.write(fitting(value));
  return writer.toBuffer();
}

/** The bytes of a lock token in the order of RFC 9562. */
export const tokenBytes = (token: string) => Buffer.from(token.replaceAll('-', ''), 'hex');

/**
 * A lock token is a GUID: on a delivery tag in .NET's byte order (first three groups little-endian),
 * on `$management` in that of RFC 9562. This turns one into the other, either way.
 */
export function reorderGuid(bytes: Buffer): Buffer {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Buffer.from(order.map((from) => bytes[from] ?? 0));
}
