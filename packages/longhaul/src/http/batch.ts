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

// An answer is not to be many times what was asked.
const issuesTold = 1_000;
const refusedTold = 1_000;
const detailChars = 300;

/** What became of each, in their order. Why is told of the first thousand that are refused. */
export function answerBatch<T extends object>(
  results: readonly (T | { refused: LonghaulError })[],
  show: (one: T) => { status: number; [more: string]: unknown },
): HttpResponseInit {
  let left = issuesTold;
  let told = refusedTold;
  const shown = results.map((one) => {
    if (!('refused' in one)) return show(one);
    const { status, code, message, details } = one.refused;
    const { errors } = details;
    left -= Array.isArray(errors) ? errors.length : 0;
    if (--told < 0) return { status, error: { code } };
    const detail = message.slice(0, detailChars);
    return { status, error: { code, detail, ...(left < 0 ? {} : details) } };
  });
  const refused = shown.filter(({ status }) => status >= 400).length;
  return json(200, { accepted: shown.length - refused, refused, results: shown });
}
