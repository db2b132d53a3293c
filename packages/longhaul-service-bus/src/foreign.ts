/**
 * What listens on this machine is for who works on it. A web page that is open in their browser can
 * send requests here too: from a site of its own (which the browser says in `Origin` or in
 * `Sec-Fetch-Site`), or under a name of its own that was made to lead here (which it says in `Host`).
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Why a request is not taken; undefined for one that is. */
export function whyForeign({ headers, method, socket }: IncomingMessage): string | undefined {
  const { origin, host } = headers;
  // Opened to a network by who started it, it is called by the names of that network.
  const isHere = socket.localAddress === undefined || isLoopback(socket.localAddress);
  if (isHere && host !== undefined && !(isHost.test(host) && isLocal(`http://${host}`)))
    return `Host '${host}' is no name of this machine`;
  if (origin !== undefined)
    return isLocal(origin) || isSame(origin, host) ? undefined : `it comes from ${origin}`;
  const isOpened = headers['sec-fetch-mode'] === 'navigate' && method === 'GET';
  return headers['sec-fetch-site'] === 'cross-site' && !isOpened
    ? 'it comes from a page of another site'
    : undefined;
}

// A URL has more before its host than this header may: `evil.example:80@localhost` (RFC 9110, 7.2).
const isHost = /^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?$/i;

const isSame = (origin: string, host = '') =>
  URL.canParse(origin) && new URL(origin).host === host.toLowerCase();

function isLocal(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || host.endsWith('.localhost') || isLoopback(host);
}

const isLoopback = (address: string): boolean =>
  isIP(address) > 0 && ipaddr.process(address).range() === 'loopback';
