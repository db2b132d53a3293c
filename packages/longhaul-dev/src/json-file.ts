/** A JSON file as the Functions tools read it: with comments, commas at the end, and a mark of its encoding. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser';

export const readJsonFile = (path: string): unknown =>
  parseJson(readFileSync(path, 'utf8'), basename(path));

/** @throws Error that names the file and the line */
export function parseJson(given: string, file: string): unknown {
  const text = given.replace(/^\uFEFF/, '');
  const errors: ParseError[] = [];
  const value = parse(text, errors, { allowTrailingComma: true }) as unknown;
  const [first] = errors;
  if (!first) return value;
  const line = text.slice(0, first.offset).split('\n').length;
  throw new Error(`${file}, line ${line}: ${printParseErrorCode(first.error)}. It is to be JSON.`);
}
