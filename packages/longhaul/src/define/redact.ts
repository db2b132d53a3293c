/** What of an input is hidden from whoever looks at it, by JSON Pointers (RFC 6901). */

const hidden = '[redacted]';

/** To a part: the whole is hidden by keeping none. */
export const isPointer = (text: string): boolean => /^(\/([^~/]|~[01])*)+$/.test(text);

const stepsOf = (pointer: string): string[] =>
  pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

/** A JSON value without what the pointers point to. */
export function redacted(value: unknown, pointers: readonly string[]): unknown {
  return pointers.reduce((shown, pointer) => without(shown, stepsOf(pointer)), value);
}

function without(value: unknown, [name, ...further]: readonly string[]): unknown {
  if (name === undefined) return hidden;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return value;
  const part = without((value as Record<string, unknown>)[name], further);
  if (Array.isArray(value)) return /^\d+$/.test(name) ? value.with(Number(name), part) : value;
  return { ...value, [name]: part };
}
