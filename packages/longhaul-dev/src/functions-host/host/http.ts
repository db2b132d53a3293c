/**
 * HTTP triggers with streaming, as `enableHttpStream` has it: the request is forwarded to the
 * programming model's own server with the invocation's id, while the invocation carries the rest.
 */
import { randomUUID } from 'node:crypto';
import {
  Agent,
  type ClientRequest,
  createServer,
  request as forwardRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { whyForeign } from 'longhaul-service-bus/internal/foreign';
import { reportFailure } from '../log.ts';
import type { LoadedFunction } from '../worker/core-module.ts';
import { backlog } from '../worker/stream-server.ts';
import type { Listener, ListenerContext } from './listener.ts';
import { compileRoute, type Route } from './route.ts';
import { triggerOf } from './trigger.ts';

export interface HttpAddress {
  host: string;
  port: number;
}

interface Endpoint {
  route: Route;
  target: LoadedFunction;
  binding: string;
}

function endpointsOf(functions: readonly LoadedFunction[], prefix: string): Endpoint[] {
  return functions
    .map((target) => {
      const { name, binding } = triggerOf(target);
      const template = `${prefix}/${String(binding['route'] ?? target.metadata.name)}`;
      const methods = (binding['methods'] as string[] | undefined) ?? ['GET', 'POST'];
      const upper = methods.map((method) => method.toUpperCase());
      return { route: compileRoute(template, upper), target, binding: name };
    })
    .sort((a, b) => (a.route.weight < b.route.weight ? -1 : 1));
}

export async function listenHttp(
  functions: readonly LoadedFunction[],
  context: ListenerContext,
  streams: () => Promise<URL>,
  { host, port }: HttpAddress,
): Promise<Listener & HttpAddress> {
  const endpoints = endpointsOf(functions, context.hostJson.extensions.http.routePrefix);
  // Thousands may watch their jobs at once. An idle connection is given up well before the worker's
  // server does so (5 s), or a request could meet it closing and be answered with nothing.
  const agent = new Agent({ keepAlive: true, timeout: 2_000 });
  const running = new Set<Promise<unknown>>();
  const server = createServer((request, response) => {
    const foreign = whyForeign(request);
    if (foreign !== undefined) {
      response.writeHead(403, { 'content-type': 'text/plain' }).end(`Refused: ${foreign}.\n`);
      return;
    }
    const found = find(endpoints, request);
    if (!found) {
      response.writeHead(404, { 'content-type': 'text/plain' });
      response.end(`No function answers ${request.method} ${request.url}\n`);
      return;
    }
    const call = answer(found, request, response, { context, streams, agent });
    running.add(call);
    void call.finally(() => running.delete(call));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, backlog }, resolve);
  });
  const address = server.address();
  return {
    host,
    port: typeof address === 'object' && address ? address.port : port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await Promise.race([Promise.allSettled(running), new Promise((r) => setTimeout(r, 5000))]);
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

function find(endpoints: readonly Endpoint[], { url = '/', method = 'GET' }: IncomingMessage) {
  const path = url.split('?')[0] ?? '/';
  for (const endpoint of endpoints) {
    if (!endpoint.route.methods.includes(method)) continue;
    const params = endpoint.route.match(path);
    if (params) return { ...endpoint, params };
  }
  return undefined;
}

interface Way {
  context: ListenerContext;
  /** Where the worker takes requests; another address once there is another worker. */
  streams: () => Promise<URL>;
  agent: Agent;
}

async function answer(
  { target, binding, params }: Endpoint & { params: Record<string, string> },
  request: IncomingMessage,
  response: ServerResponse,
  { context, streams, agent }: Way,
): Promise<void> {
  const invocationId = randomUUID();
  let forwarded: ClientRequest | undefined;
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  );
  try {
    forwarded = forward(request, response, invocationId, await streams(), agent);
    await context.invoke(
      target,
      {
        inputData: [{ name: binding }],
        triggerMetadata: {
          Headers: { json: JSON.stringify(headers) },
          ...Object.fromEntries(Object.entries(params).map(([k, v]) => [k, { string: v }])),
        },
      },
      invocationId,
    );
  } catch (error) {
    reportFailure(context.log, target.metadata.name, error);
    forwarded?.destroy();
    // What was cut off must not look complete.
    if (!response.headersSent) response.writeHead(500).end();
    else if (!response.writableEnded) response.destroy();
  }
}

// Hop-by-hop headers end at this host (RFC 9110, 7.6.1).
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade'];

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  invocationId: string,
  streams: URL,
  agent: Agent,
) {
  const headers: Record<string, string | string[] | undefined> = { ...request.headers };
  for (const name of hopByHop) delete headers[name];
  headers['x-ms-invocation-id'] = invocationId;
  headers['x-forwarded-host'] = request.headers.host ?? 'localhost';
  headers['x-forwarded-proto'] = 'http';
  const options = { agent, method: request.method, path: request.url, headers };
  const forwarded = forwardRequest(streams, options, (answered) => {
    const { 'x-ms-invocation-id': _, ...rest } = answered.headers;
    for (const name of hopByHop) delete rest[name];
    response.writeHead(answered.statusCode ?? 500, rest);
    answered.pipe(response);
  });
  forwarded.on('error', () => {
    if (!response.headersSent) response.writeHead(502).end();
    else response.destroy();
  });
  // The caller hung up: so does the forwarded request, and a stream to it ends.
  response.on('close', () => {
    if (!response.writableFinished) forwarded.destroy();
  });
  request.pipe(forwarded);
  return forwarded;
}
