/** JSON as text that nobody writes by accident: objects are lists of members, so that any name goes. */
import { fc } from '../support/properties.ts';

export type Json =
  | { members: [string, Json][] }
  | { items: Json[] }
  /** As it stands: numbers and words that JavaScript would change. */
  | { raw: string }
  | string;

export function toText(value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if ('raw' in value) return value.raw;
  if ('items' in value) return `[${value.items.map(toText).join()}]`;
  return `{${value.members.map(([name, one]) => `${JSON.stringify(name)}:${toText(one)}`).join()}}`;
}

/** Text that has broken something somewhere. */
export const oddText = fc.oneof(
  fc.constantFrom(
    ...['', ' ', '\0', '\n', '\r\nid: 1', '\u2028', '\ufeff', '\ud800', 'a\udfffb', '\u202e', '語'],
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'then', 'length'],
    ...['../x', '..', '.', 'a/b', 'a\\b', '%00', '%ff', '%2e%2e%2f', 'a#b', 'a?b', "' or 1 eq 1"],
    ...['null', 'true', 'NaN', '0', '-1', '1e999', 'longhaul.callback', 'replies', 'urgent'],
    ...['9999-12-31T23:59:59-23:00', '0000-01-01T00:00:00Z', '99999999999d', '0ms', '1.5h'],
    ...['* * * * *', '0 0 0 31 2,4,6,9,11 *', '0 0 30 2 *', '<script>', '😀'.repeat(100)],
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.nat({ max: 3_000 }).map((length) => 'x'.repeat(length)),
);

const oddNumber = fc.constantFrom(
  ...['0', '-0', '-1', '1', '0.1', '1e308', '-1e308', '1e400', '1e-400', '9007199254740993'],
  ...['2147483648', '123456789012345678901234567890', '65536', '99999'],
);

const deep = fc.nat({ max: 3_000 }).map((depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`);

export const oddJson: fc.Arbitrary<Json> = fc.letrec<{ any: Json }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    oddText as fc.Arbitrary<Json>,
    oddNumber.map((raw) => ({ raw })),
    fc.constantFrom('null', 'true', 'false').map((raw) => ({ raw })),
    deep.map((raw) => ({ raw })),
    fc.array(tie('any'), { maxLength: 4 }).map((items) => ({ items })),
    fc.array(fc.tuple(oddText, tie('any')), { maxLength: 4 }).map((members) => ({ members })),
  ),
})).any;

/** Text that a message or an address can carry: half characters are no UTF-8. */
export const oddWellFormed = oddText.map((text) => Buffer.from(text).toString());

export const rawNumber = (value: number): Json => ({ raw: String(value) });
