/** JSON of somebody else: what is missing is put in, all that stands there stays as it is written. */
import { isDeepStrictEqual } from 'node:util';
import { applyEdits, type JSONPath, modify, type ParseError, parse } from 'jsonc-parser';

export type Json = Record<string, unknown>;

export interface Conflict {
  path: string;
  have: unknown;
  want: unknown;
}

export interface Merged {
  text: string;
  added: string[];
  conflicts: Conflict[];
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** With comments, as host.json and tsconfig.json may have them. @throws Error that names the file */
export function readJson(file: string, text: string): Json {
  const errors: ParseError[] = [];
  const value: unknown = parse(text.replace(/^\uFEFF/, ''), errors, { allowTrailingComma: true });
  if (errors.length > 0 || !isObject(value))
    throw new Error(`${file} is no JSON object: correct it first. Nothing was changed.`);
  return value;
}

/** Adds what `wanted` has and the file has not; where both differ, the file stays as it is. */
export function addMissing(file: string, text: string, wanted: Json): Merged {
  const merged: Merged = { text, added: [], conflicts: [] };
  const formattingOptions = {
    insertSpaces: !/^\t/m.test(text),
    tabSize: indentOf(text),
    eol: '\n',
  };
  const visit = (have: Json, want: Json, path: JSONPath): void => {
    for (const [name, value] of Object.entries(want)) {
      const at = [...path, name];
      const there = have[name];
      if (there === undefined) {
        merged.text = applyEdits(
          merged.text,
          modify(merged.text, at, value, { formattingOptions }),
        );
        merged.added.push(at.join('.'));
      } else if (isObject(there) && isObject(value)) visit(there, value, at);
      else if (!isDeepStrictEqual(there, value))
        merged.conflicts.push({ path: at.join('.'), have: there, want: value });
    }
  };
  visit(readJson(file, text), wanted, []);
  return merged;
}

const indentOf = (text: string): number => /^( +)\S/m.exec(text)?.[1]?.length ?? 2;
