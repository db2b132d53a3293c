/** Fields of performatives and sections by the kinds of value that they may have (AMQP 1.0, part 2 and 3). */
import { checkValue, decodeValue, itemsWithin, MalformedMessage } from './encoded.ts';

const codes: Record<string, readonly number[]> = {
  boolean: [0x41, 0x42, 0x56],
  ubyte: [0x50],
  ushort: [0x60],
  uint: [0x43, 0x52, 0x70],
  ulong: [0x44, 0x53, 0x80],
  timestamp: [0x83],
  binary: [0xa0, 0xb0],
  // Clients are lax with these two, and nothing here depends on which it is.
  text: [0xa1, 0xb1, 0xa3, 0xb3],
  map: [0xc1, 0xd1],
  list: [0x45, 0xc0, 0xd0],
  id: [0xa0, 0xb0, 0xa1, 0xb1, 0x98, 0x44, 0x53, 0x80],
};

export interface Field {
  codes: ReadonlySet<number> | undefined;
  isMandatory: boolean;
}

/** `'text! uint any'`: one kind for each field in turn, with a mark when it has to be there. */
export const fieldsOf = (kinds: string): Field[] =>
  kinds.split(' ').map((kind) => {
    const of = codes[kind.replace('!', '')];
    return { codes: of && new Set(of), isMandatory: kind.endsWith('!') };
  });

export const isKind = (kind: keyof typeof codes, code: number | undefined): boolean =>
  codes[kind]?.includes(code ?? -1) ?? false;

/** An encoded list of these fields, whose values were checked. @throws MalformedMessage */
export function checkFields(buffer: Buffer, at: number, limit: number, fields: Field[]): void {
  if (!isKind('list', buffer[at])) throw new MalformedMessage('Its fields are no list.');
  const { start, count } = itemsWithin(buffer, at);
  if (count > fields.length) throw new MalformedMessage('It has too many fields.');
  let position = start;
  for (const [n, field] of fields.entries()) {
    const code = n < count ? (buffer[position] ?? 0x40) : 0x40;
    if (code === 0x40 ? field.isMandatory : field.codes && !field.codes.has(code))
      throw new MalformedMessage(`Its field ${n} is missing or of a wrong type.`);
    if (n < count) position = checkValue(buffer, position, limit);
  }
}

/** The number that a descriptor is or stands for; undefined for one of another making. */
export function descriptorAt(buffer: Buffer, at: number, end: number): number | string | undefined {
  if (buffer[at] === 0x53) return buffer[at + 1];
  if (!isKind('ulong', buffer[at]) && !isKind('text', buffer[at])) return undefined;
  const value = decodeValue(buffer.subarray(at, end));
  return typeof value === 'number' || typeof value === 'string' ? value : undefined;
}
