/** Many things in one request: a JSON array, or one JSON value a line. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { BadRequestError, type LonghaulError } from '../errors.ts';
import { readItems } from './request.ts';
import { json } from './route.ts';

const maxItems = 10_000;

/** @throws BadRequestError, PayloadTooLargeError */
export async function readBatch(request: HttpRequest, maxBytes: number): Promise<unknown[]> {
  const items = await readItems(request, maxBytes);
  if (items.length <= maxItems) return items;
  throw new BadRequestError(
    `A batch has ${maxItems} items at most, and this one ${items.length}: send it in parts.`,
  );
}

/** What became of each, in their order. */
export function answerBatch<T extends object>(
  results: readonly (T | { refused: LonghaulError })[],
  show: (one: T) => { status: number; [more: string]: unknown },
): HttpResponseInit {
  const shown = results.map((one) => {
    if (!('refused' in one)) return show(one);
    const { status, code, message, details } = one.refused;
    return { status, error: { code, detail: message, ...details } };
  });
  const refused = shown.filter(({ status }) => status >= 400).length;
  return json(200, { accepted: shown.length - refused, refused, results: shown });
}
