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
import { LonghaulError } from '../errors.ts';
import { stackOf } from '../model/error-record.ts';
import type { AnswerName } from './answers.ts';
import { intake } from './intake.ts';

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

const methods: HttpMethod[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** A path is one function, which knows what else it can be asked. */
export function registerRoute(route: Route): void {
  const { path } = route;
  const isKnown = registered.some((other) => other.path === path);
  registered.push(route);
  if (isKnown) return;
  app.http(path.replaceAll(/[{}]/g, '').replaceAll(/\W/g, '-'), {
    methods,
    route: path,
    authLevel: path.startsWith('health/') ? 'anonymous' : 'function',
    handler: async (request, context) => guarded(await answer(path, request, context)),
  });
}

async function answer(
  path: string,
  request: HttpRequest,
  context: InvocationContext,
): Promise<HttpResponseInit> {
  const here = registered.filter((route) => route.path === path);
  const route = here.find(({ method }) => method === request.method);
  try {
    if (route) return await route.handle(request, context);
    const allow = here.map(({ method }) => method).join(', ');
    const refused = new LonghaulError('method_not_allowed', 405, `Here you can ask by ${allow}.`);
    const { headers, ...document } = problem(refused, request, context);
    return { ...document, headers: { ...headers, allow } };
  } catch (error) {
    return problem(error, request, context);
  } finally {
    intake.letGo(request);
  }
}

/** What is answered is for who asked: for no cache on the way, and for no browser to make more of. */
const guarded = (answered: HttpResponseInit): HttpResponseInit => ({
  ...answered,
  headers: {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answered.headers,
  },
});

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
  405: 'Method not allowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'Payload too large',
  415: 'Unsupported media type',
  422: 'Unprocessable content',
  429: 'Too many requests',
  503: 'Overloaded',
};

/** What the caller can do something about, if only by coming again. */
const isTold = (error: unknown): error is LonghaulError =>
  error instanceof LonghaulError && (error.status < 500 || error.retryAfterSeconds !== undefined);

function problem(
  error: unknown,
  request: HttpRequest,
  context: InvocationContext,
): HttpResponseInit & { headers?: Record<string, string> } {
  const instance = new URL(request.url).pathname;
  if (isTold(error)) {
    const { code, status, message, details, retryAfterSeconds } = error;
    const document = { type: `urn:longhaul:problem:${code}`, title: titles[status], status };
    return json(
      status,
      { ...document, detail: message, instance, code, ...details },
      {
        'content-type': 'application/problem+json',
        ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
      },
    );
  }
  // What went wrong inside is for the log; the caller gets a number by which to find it.
  const reference = randomUUID();
  context.error(`${request.method} ${instance} failed (${reference}):\n${stackOf(error)}`);
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
): HttpResponseInit & { headers: Record<string, string> } {
  return {
    status,
    body: `${JSON.stringify(body)}\n`,
    headers: { 'content-type': 'application/json', ...headers },
  };
}
