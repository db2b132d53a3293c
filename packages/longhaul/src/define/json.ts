/**
 * JSON text from outside, and values of handlers as JSON text: what JSON would change or drop is
 * refused, by its path.
 */
import { NonRetryableError, toPointer } from '../errors.ts';

/** What stands in the way of a value's coming back as it was; undefined if nothing does. */
function whyNot(value: unknown): string | undefined {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? undefined : `is ${value}`;
    case 'bigint':
    case 'function':
    case 'symbol':
      return `is a ${typeof value}`;
    case 'object':
      return isUnlikeJson(value) || isEmptied(value) ? `is a ${nameOfClass(value)}` : undefined;
    default:
      return undefined;
  }
}

const isUnlikeJson = (value: object | null): boolean =>
  value instanceof Date ||
  value instanceof Error ||
  value instanceof RegExp ||
  value instanceof WeakMap ||
  value instanceof WeakSet ||
  value instanceof Map ||
  value instanceof Set ||
  value instanceof Promise ||
  value instanceof ArrayBuffer ||
  ArrayBuffer.isView(value);

const maxNesting = 100;

/** What reads it goes down by calling itself, and its stack has an end. @throws SyntaxError */
export function fromJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxNesting) throw new SyntaxError(`It is nested more than ${maxNesting} deep`);
    level = level.flatMap((one) =>
      Object.values(one ?? {}).filter((inner) => typeof inner === 'object'),
    );
  }
  return value;
}

const nameOfClass = (value: object | null): string => value?.constructor?.name ?? 'class';

/** Of one of a class that shows nothing (URLSearchParams, Headers) nothing would be left. */
function isEmptied(value: object | null): boolean {
  if (value === null || Array.isArray(value) || 'toJSON' in value) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return !isPlain && Object.keys(value).length === 0;
}

/** `what`: whose value it is, at the beginning of a sentence. @throws NonRetryableError, code `not_json` */
export function toJson(value: unknown, what: string): string {
  let wrong = false;
  // `toJSON` of a date has been called by then: what was there stands in the holder.
  const look = function (this: Record<string, unknown>, key: string, seen: unknown) {
    if (whyNot(this[key]) !== undefined) wrong = true;
    return typeof seen === 'bigint' ? null : seen;
  };
  try {
    const text = JSON.stringify(value, look) ?? 'null';
    if (!wrong) return text;
  } catch (cause) {
    throw notJson(what, (cause as Error).message, cause);
  }
  const [pointer, why] = find(value, []) ?? ['', 'cannot be written as JSON'];
  throw notJson(what, `${pointer || 'it'} ${why}`);
}

/** The first place that is not JSON, by its pointer. */
function find(value: unknown, path: readonly string[]): [string, string] | undefined {
  const why = whyNot(value);
  if (why !== undefined) return [toPointer(path), why];
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, one] of Object.entries(value)) {
    const found = find(one, [...path, name]);
    if (found) return found;
  }
  return undefined;
}

const notJson = (what: string, why: string, cause?: unknown) =>
  new NonRetryableError(
    `${what} is not JSON: ${why}. Return text, numbers, lists and plain objects instead.`,
    { code: 'not_json', cause },
  );
