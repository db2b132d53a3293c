/** One HTTP request to somebody else. Redirects are answers: who follows one has not looked at it. */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
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

/** @throws AddressRefusedError; any other Error when nothing came back */
export function callOut(call: OutboundCall, allowed: Allowed): Promise<OutboundAnswer> {
  const url = checkUrl(call.url, allowed);
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  const { method, headers, body = '', timeoutMs } = call;
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)]);
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        lookup: lookupAllowed(allowed),
        signal,
        // A kept connection could have been made to another address.
        agent: false,
      },
      (response) => {
        read(response).then(resolve, reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

async function read(response: IncomingMessage): Promise<OutboundAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      response.destroy();
      throw new Error(`The answer is larger than ${maxBytes} bytes.`);
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
