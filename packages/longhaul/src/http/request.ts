/** What a request says in its body, its query and its headers, each read by its own grammar. */
import { MIMEType } from 'node:util';
import type { HttpRequest } from '@azure/functions';
import { fromJson } from '../define/json.ts';
import {
  BadRequestError,
  LonghaulError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
} from '../errors.ts';
import { after } from '../long-timer.ts';
import { intake } from './intake.ts';

/** The JSON body. @throws UnsupportedMediaTypeError, PayloadTooLargeError, BadRequestError */
export async function readJson(request: HttpRequest, maxBytes: number): Promise<unknown> {
  mediaTypeOf(request, /^application\/(json|[\w.-]+\+json)$/);
  return parse(await readText(request, maxBytes));
}

/** Many values: a JSON array, or one JSON value a line (NDJSON). @throws as `readJson` */
export async function readItems(request: HttpRequest, maxBytes: number): Promise<unknown[]> {
  const type = mediaTypeOf(request, /^application\/((x-)?ndjson|json|[\w.-]+\+json)$/);
  const text = await readText(request, maxBytes);
  if (type.endsWith('ndjson')) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line, at) => parse(line, ` in line ${at + 1}`));
  }
  const value = parse(text);
  if (Array.isArray(value)) return value;
  throw new BadRequestError('The body is no JSON array. One value a line is application/x-ndjson.');
}

/** JSON is UTF-8 (RFC 8259, 8.1). @throws UnsupportedMediaTypeError */
function mediaTypeOf({ headers }: HttpRequest, taken: RegExp): string {
  const given = headers.get('content-type');
  try {
    const { essence, params } = new MIMEType(given ?? '');
    const charset = params.get('charset') ?? 'utf-8';
    if (taken.test(essence) && /^utf-?8$/i.test(charset)) return essence;
  } catch {
    // No media type at all.
  }
  throw new UnsupportedMediaTypeError(given);
}

function parse(text: string, where = ''): unknown {
  try {
    return fromJson(text);
  } catch (cause) {
    throw noJson(cause, where);
  }
}

const noJson = (cause: unknown, where: string) =>
  new BadRequestError(`The body is no JSON${where}: ${(cause as Error).message}.`, [], { cause });

async function readText(request: HttpRequest, maxBytes: number): Promise<string> {
  const bytes = await readAtMost(request, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw notUtf8(cause);
  }
}

const notUtf8 = (cause: unknown) => new BadRequestError('The body is no UTF-8.', [], { cause });

/** A body comes in one go; who sends it byte by byte holds up others. */
const bodyMs = 30_000;

async function readAtMost(request: HttpRequest, maxBytes: number): Promise<Buffer> {
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  let isLate = false;
  const cancel = after(bodyMs, () => {
    isLate = true;
    void reader?.cancel().catch(() => undefined);
  });
  try {
    if (Number(request.headers.get('content-length') ?? 0) > maxBytes)
      throw new PayloadTooLargeError(maxBytes);
    const chunks: Uint8Array[] = [];
    let size = 0;
    // What has come counts, not what was announced: that may never come.
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      size += next.value.length;
      if (size > maxBytes) throw new PayloadTooLargeError(maxBytes);
      intake.hold(request, size);
      chunks.push(next.value);
    }
    if (isLate) throw new BadRequestError('The body did not come within thirty seconds.');
    intake.hold(request, size);
    return Buffer.concat(chunks);
  } catch (error) {
    await reader?.cancel().catch(() => undefined);
    throw error instanceof LonghaulError ? error : notWhole(error);
  } finally {
    cancel();
  }
}

const notWhole = (cause: unknown) =>
  new BadRequestError('The body did not come whole.', [], { cause });

const maxPage = 1000;
const maxFilterChars = 256;

/** What a list is asked for by `limit`, `cursor` and filters. @throws BadRequestError */
export function pageOf({ query }: HttpRequest) {
  const limit = query.get('limit') ?? '100';
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > maxPage)
    throw new BadRequestError(`limit is a whole number from 1 to ${maxPage}.`);
  const text = (name: string) => {
    const given = query.get(name) ?? undefined;
    if (given === undefined || given.length <= maxFilterChars) return given;
    throw new BadRequestError(`${name} has ${maxFilterChars} characters at most.`);
  };
  return { limit: Number(limit), cursor: query.get('cursor') ?? undefined, text };
}

/**
 * What makes a request the same as one before: its key, and who the platform says that it is of.
 * @throws BadRequestError
 */
export function idempotencyKey({ headers }: HttpRequest): string | undefined {
  // The draft makes it a structured-field string, so in quotes; bare ones are common and taken too.
  const key = headers.get('idempotency-key')?.replace(/^"(.*)"$/, '$1');
  if (key === undefined) return undefined;
  if (key.length === 0 || key.length > 255)
    throw new BadRequestError('Idempotency-Key has 1 to 255 characters.');
  return JSON.stringify([headers.get('x-ms-client-principal-id'), key]);
}

const maxPreferChars = 500;

/** `Prefer: wait=N` (RFC 7240, 4.3) in milliseconds, 60 s at most; undefined when not asked for. */
export function preferredWaitMs({ headers }: HttpRequest): number | undefined {
  const given = headers.get('prefer') ?? '';
  // What is longer says nothing that is known here, and would be long to take apart.
  if (given.length > maxPreferChars) return undefined;
  const preferences = given.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  for (const preference of preferences) {
    const wait = /^\s*wait\s*=\s*(?:(\d+)|"(\d+)")\s*(?:;|$)/i.exec(preference);
    if (wait) return Math.min(Number(wait[1] ?? wait[2]), 60) * 1000;
  }
  return undefined;
}

/** The entity tags of `If-None-Match`, which compares weakly (RFC 9110, 13.1.2). */
export function knownTags({ headers }: HttpRequest): { any: boolean; has(etag: string): boolean } {
  const given = headers.get('if-none-match') ?? '';
  const tags = (given.match(/(?:W\/)?"[^"]*"/g) ?? []).map(opaque);
  const any = given.trim() !== '';
  return { any, has: (etag) => given.trim() === '*' || tags.includes(opaque(etag)) };
}

const opaque = (etag: string) => etag.replace(/^W\//, '');
