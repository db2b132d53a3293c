/** The words of a rule's SQL (learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter). */
import { ServiceBusFault } from './errors.ts';

export type Token =
  | { kind: 'number'; value: number }
  | { kind: 'string'; value: string }
  | { kind: 'parameter'; value: string }
  /** Case does not count; `value` is in capitals. */
  | { kind: 'word'; value: string; text: string }
  /** In brackets or double quotes: never a keyword. */
  | { kind: 'quoted'; value: string }
  | { kind: 'sign'; value: string }
  | { kind: 'end'; value: '' };

export const badSql = (why: string, text: string) =>
  new ServiceBusFault('com.microsoft:argument-error', `'${text}' is no SQL of a rule: ${why}.`);

const patterns: [kind: Exclude<Token['kind'], 'end'> | 'space', pattern: RegExp][] = [
  ['space', /\s+/y],
  ['number', /0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['string', /'(?:[^']|'')*'/y],
  ['parameter', /@[\p{L}_@#][\p{L}\p{N}_@#$]*/uy],
  ['quoted', /\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+"/y],
  ['word', /[\p{L}_][\p{L}\p{N}_$#]*/uy],
  ['sign', /<>|!=|<=|>=|[=<>(),.+\-*/%;]/y],
];

/** @throws ServiceBusFault */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const found = next(text, at);
    if (!found) throw badSql(`'${text.slice(at, at + 12)}' is not understood`, text);
    if (found.token) tokens.push(found.token);
    at = found.end;
  }
  return [...tokens, { kind: 'end', value: '' }];
}

function next(text: string, at: number): { token: Token | undefined; end: number } | undefined {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found) return { token: toToken(kind, found), end: pattern.lastIndex };
  }
  return undefined;
}

function toToken(kind: (typeof patterns)[number][0], text: string): Token | undefined {
  const inner = text.slice(1, -1);
  switch (kind) {
    case 'space':
      return undefined;
    case 'number':
      return { kind, value: Number(text) };
    case 'string':
      return { kind, value: inner.replaceAll("''", "'") };
    case 'quoted':
      return {
        kind,
        value: text.startsWith('[') ? inner.replaceAll(']]', ']') : inner.replaceAll('""', '"'),
      };
    case 'word':
      return { kind, value: text.toUpperCase(), text };
    case 'parameter':
    case 'sign':
      return { kind, value: text };
  }
}
