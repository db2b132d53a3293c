/** The sections of a message: where each is, and whether it is what the standard says (AMQP 1.0, part 3, 3.2). */
import { checkValue, endOfValue, itemsWithin, MalformedMessage } from './encoded.ts';
import { checkFields, descriptorAt, type Field, fieldsOf, isKind } from './kinds.ts';

export const section = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  sequence: 0x76,
  footer: 0x78,
} as const;

export interface Section {
  code: number;
  start: number;
  value: number;
  end: number;
}

// The sections whose values have a shape of their own; those of a body may have any.
const lists = new Map<number, Field[]>([
  [section.header, fieldsOf('boolean ubyte uint boolean uint')],
  [
    section.properties,
    fieldsOf('id binary text text text id text text timestamp timestamp text uint text'),
  ],
]);
const maps = new Set<number>([
  section.deliveryAnnotations,
  section.messageAnnotations,
  section.applicationProperties,
  section.footer,
]);
const byName = new Map<number | string, number>(
  [
    ...['header:list', 'delivery-annotations:map', 'message-annotations:map', 'properties:list'],
    ...['application-properties:map', 'data:binary', 'amqp-sequence:list', 'amqp-value:*'],
    'footer:map',
  ].map((name, n) => [`amqp:${name}`, section.header + n]),
);

/** Takes a message apart and looks at all that is in it. @throws MalformedMessage */
export function checkedSections(buffer: Buffer): Section[] {
  const sections: Section[] = [];
  for (let start = 0, last = 0; start < buffer.length; ) {
    if (buffer[start] !== 0) throw new MalformedMessage('A message section has no descriptor.');
    const value = checkValue(buffer, start + 1, buffer.length);
    const end = checkValue(buffer, value, buffer.length);
    const descriptor = descriptorAt(buffer, start + 1, value) ?? 0;
    const code = byName.get(descriptor) ?? Number(descriptor);
    const repeats = code === last && (code === section.data || code === section.sequence);
    if (!(code >= section.header && code <= section.footer) || (code <= last && !repeats))
      throw new MalformedMessage('Its sections are unknown, repeated or out of order.');
    if (last >= section.data && code !== section.footer && !repeats)
      throw new MalformedMessage('It has bodies of several kinds.');
    checkSection(buffer, code, value, end);
    sections.push({ code, start, value, end });
    start = end;
    last = code;
  }
  return sections;
}

function checkSection(buffer: Buffer, code: number, value: number, end: number): void {
  const fields = lists.get(code);
  if (fields) checkFields(buffer, value, end, fields);
  else if (code === section.data && !isKind('binary', buffer[value]))
    throw new MalformedMessage('Data that is not binary.');
  else if (code === section.sequence && !isKind('list', buffer[value]))
    throw new MalformedMessage('A sequence that is no list.');
  else if (maps.has(code)) checkKeys(buffer, code, value);
}

function checkKeys(buffer: Buffer, code: number, at: number): void {
  if (!isKind('map', buffer[at])) throw new MalformedMessage('A section that is no map.');
  const { start, count } = itemsWithin(buffer, at);
  for (let n = 0, position = start; n < count; n++) {
    const isKey = n % 2 === 0;
    const isNumber = code !== section.applicationProperties && isKind('ulong', buffer[position]);
    // Older Python clients send names as bytes.
    const isName = isKind('text', buffer[position]) || isKind('binary', buffer[position]);
    if (isKey && !isNumber && !isName) throw new MalformedMessage('A key of a map is no text.');
    position = endOfValue(buffer, position);
  }
}

/** The sections of what was checked when it came in. */
export function sectionsOf(buffer: Buffer): Section[] {
  const sections: Section[] = [];
  for (let start = 0; start < buffer.length; ) {
    const value = endOfValue(buffer, start + 1);
    const end = endOfValue(buffer, value);
    const descriptor = descriptorAt(buffer, start + 1, value) ?? 0;
    sections.push({ code: byName.get(descriptor) ?? Number(descriptor), start, value, end });
    start = end;
  }
  return sections;
}
