/** The one wrapper around every HTTP function: route, body, problem documents (RFC 9457). */
import { randomUUID } from 'node:crypto';
import {
  app,
  type HttpMethod,
  type HttpRequest,
  type HttpResponseInit,
  type InvocationContext,
} from '@azure/functions';
import type { z } from 'zod';
import {
  BadRequestError,
  LonghaulError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
} from '../errors.ts';
import type { AnswerName } from './answers.ts';

/** What the description of the API says of a route. */
export interface RouteDoc {
  summary: string;
  query?: Record<string, string>;
  headers?: readonly ('prefer' | 'idempotency-key' | 'if-none-match' | 'last-event-id')[];
  body?: z.ZodType | 'any';
  /** The body is an array of those, or one a line. */
  many?: true;
  /** By status; errors are problems without being named here. */
  answers: Record<number, AnswerName | 'any' | 'none' | 'file' | 'events' | 'page'>;
}

export interface Route {
  name: string;
  method: HttpMethod;
  /** Below the prefix `api`. */
  path: string;
  handle(request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit>;
  doc: RouteDoc;
}

/** All routes of the app, which describes itself by them. */
export const registered: Route[] = [];

export function registerRoute(route: Route): void {
  const { name, method, path, handle } = route;
  registered.push(route);
  app.http(name, {
    methods: [method],
    route: path,
    authLevel: path.startsWith('health/') ? 'anonymous' : 'function',
    async handler(request, context) {
      try {
        return await handle(request, context);
      } catch (error) {
        return problem(error, request, context);
      }
    },
  });
}

/** Registers the routes of one resource, whose handlers share what they work with. */
export const routesOf =
  <A>(api: A) =>
  (
    name: string,
    method: HttpMethod,
    path: string,
    act: (api: A, request: HttpRequest) => Promise<HttpResponseInit>,
    doc: RouteDoc,
  ): void =>
    registerRoute({ name, method, path, handle: (request) => act(api, request), doc });

const titles: Record<number, string> = {
  400: 'Bad request',
  404: 'Not found',
  409: 'Conflict',
  410: 'Gone',
  413: 'Payload too large',
  415: 'Unsupported media type',
  422: 'Unprocessable content',
};

function problem(
  error: unknown,
  request: HttpRequest,
  context: InvocationContext,
): HttpResponseInit {
  const instance = new URL(request.url).pathname;
  if (error instanceof LonghaulError && error.status < 500) {
    const { code, status, message, details } = error;
    const document = { type: `urn:longhaul:problem:${code}`, title: titles[status], status };
    return json(
      status,
      { ...document, detail: message, instance, code, ...details },
      { 'content-type': 'application/problem+json' },
    );
  }
  // What went wrong inside is for the log; the caller gets a number by which to find it.
  const reference = randomUUID();
  context.error(`${request.method} ${instance} failed (${reference}):`, error);
  return json(
    500,
    {
      type: 'urn:longhaul:problem:internal',
      title: 'Internal error',
      status: 500,
      detail: `Something failed on our side; the log has it under ${reference}. Try again.`,
      instance,
      code: 'internal',
      reference,
    },
    { 'content-type': 'application/problem+json' },
  );
}

export function json(
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): HttpResponseInit {
  return {
    status,
    body: `${JSON.stringify(body)}\n`,
    headers: { 'content-type': 'application/json', ...headers },
  };
}

/** The JSON body. @throws UnsupportedMediaTypeError, PayloadTooLargeError, BadRequestError */
export async function readJson(request: HttpRequest, maxBytes: number): Promise<unknown> {
  const contentType = request.headers.get('content-type');
  if (!/^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(contentType ?? ''))
    throw new UnsupportedMediaTypeError(contentType);
  const text = (await readAtMost(request, maxBytes)).toString('utf8');
  return parse(text);
}

/** Many values: a JSON array, or one JSON value a line (NDJSON). @throws as `readJson` */
export async function readItems(request: HttpRequest, maxBytes: number): Promise<unknown[]> {
  const contentType = request.headers.get('content-type') ?? '';
  if (/^application\/(x-)?ndjson\s*(;|$)/i.test(contentType)) {
    const text = (await readAtMost(request, maxBytes)).toString('utf8');
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line, at) => parse(line, ` in line ${at + 1}`));
  }
  const value = await readJson(request, maxBytes);
  if (Array.isArray(value)) return value;
  throw new BadRequestError('The body is no JSON array. One value a line is application/x-ndjson.');
}

function parse(text: string, where = ''): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw noJson(cause, where);
  }
}

const noJson = (cause: unknown, where: string) =>
  new BadRequestError(`The body is no JSON${where}: ${(cause as Error).message}.`, [], { cause });

const maxPage = 1000;

/** What a list is asked for by `limit`, `cursor` and filters. @throws BadRequestError */
export function pageOf({ query }: HttpRequest) {
  const limit = Number(query.get('limit') ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPage)
    throw new BadRequestError(`limit is a whole number from 1 to ${maxPage}.`);
  const text = (name: string) => query.get(name) ?? undefined;
  return { limit, cursor: text('cursor'), text };
}

async function readAtMost(request: HttpRequest, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) {
    await request.body?.cancel();
    throw new PayloadTooLargeError(maxBytes);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new PayloadTooLargeError(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The key of a request that is to be taken once. @throws BadRequestError */
export function idempotencyKey(request: HttpRequest): string | undefined {
  // The draft makes it a structured-field string, so in quotes; bare ones are common and taken too.
  const key = request.headers.get('idempotency-key')?.replace(/^"(.*)"$/, '$1');
  if (key === undefined || (key.length > 0 && key.length <= 255)) return key;
  throw new BadRequestError('Idempotency-Key has 1 to 255 characters.');
}

/** `Prefer: wait=N` (RFC 7240, 4.3) in milliseconds, 60 s at most; undefined when not asked for. */
export function preferredWaitMs(request: HttpRequest): number | undefined {
  const wait = /(?:^|[,;\s])wait=(\d+)/i.exec(request.headers.get('prefer') ?? '')?.[1];
  return wait === undefined ? undefined : Math.min(Number(wait), 60) * 1000;
}
