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

/** @throws AddressRefusedError; NonRetryableError when no such call can be made; any other Error when nothing came back */
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
      throw notMade(error) ?? error;
    })
    .finally(late.cancel);
}

/** A header that is none will be none at the next try. */
function notMade(error: unknown): NonRetryableError | undefined {
  const { code, message } = error as { code?: string; message?: string };
  const isOurs = /^ERR_(INVALID_(HTTP_TOKEN|CHAR|ARG)|HTTP_INVALID_HEADER)/.test(code ?? '');
  return isOurs ? new NonRetryableError(`No such call: ${message}`, { cause: error }) : undefined;
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
