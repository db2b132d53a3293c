/** One HTTP request to somebody else. Redirects are answers: who follows one has not looked at it. */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { NonRetryableError } from '../errors.ts';
import { timeoutSignal } from '../long-timer.ts';
import { type Allowed, checkUrl, lookupAllowed } from './address.ts';

export interface OutboundCall {
  url: string;
  method: string;
  headers: Record<string, string>;
  body?: string | undefined;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface OutboundAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const maxBytes = 1024 * 1024;

/** @throws AddressRefusedError; NonRetryableError for an answer that is too large; any other Error when none came */
export function callOut(call: OutboundCall, allowed: Allowed): Promise<OutboundAnswer> {
  const url = checkUrl(call.url, allowed);
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  const { method, headers, body = '', timeoutMs } = call;
  const late = timeoutSignal(timeoutMs);
  const options = {
    method,
    headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
    lookup: lookupAllowed(allowed),
    signal: AbortSignal.any([call.signal, late.signal]),
    // A kept connection could have been made to another address.
    agent: false,
  };
  return new Promise<OutboundAnswer>((resolve, reject) => {
    const sent = request(url, options, (response) => {
      read(response).then(resolve, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  })
    .catch((error: unknown) => {
      throw withoutAddress(error, url);
    })
    .finally(late.cancel);
}

/** What the system says of a connection holds addresses of the inside: its code says as much. */
function withoutAddress(error: unknown, { host }: URL): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? error : new Error(`${host} could not be called: ${code}`);
}

async function read(response: IncomingMessage): Promise<OutboundAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      response.destroy();
      // It was made, and another would be answered the same.
      throw new NonRetryableError(`The answer is larger than ${maxBytes} bytes.`);
    }
    chunks.push(chunk);
  }
  const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: Buffer.concat(chunks).toString('utf8'),
  };
}
