/**
 * Which addresses we call on somebody's behalf: public ones, and those that a setting allows. A name
 * is looked up once, and the address that was looked at is the one that is connected to.
 */
import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AddressRefusedError } from '../errors.ts';

/** Names and networks that are allowed though they are not public: `jobs.internal`, `10.1.0.0/16`. */
export type Allowed = readonly string[];

type Address = ReturnType<typeof ipaddr.process>;

// Learn, "What is IP address 168.63.129.16": the host that an Azure machine runs on answers there.
const azureHost = '168.63.129.16';
// IANA, "IPv6 Global Unicast Address Assignments": nothing outside of it is anybody's.
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv6
    ? address.match(globalUnicast)
    : address.toString() !== azureHost;
}

function isAllowed(address: string, allowed: Allowed): boolean {
  // An IPv4 address in IPv6 clothes is what it is inside.
  const read = ipaddr.process(address);
  if (isPublic(read)) return true;
  return allowed.some((network) => {
    if (!ipaddr.isValidCIDR(network)) return ipaddr.isValid(network) && network === address;
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === read.kind() && read.match([base, bits] as never);
  });
}

/** An address as it may be told: tokens stand in queries, words of passage before the host. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return text.replace(/[?#].*/s, '').slice(0, 200);
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}

/** True for what never leaves the machine. */
export function isLoopback({ hostname }: URL): boolean {
  const host = hostOf(hostname);
  return host === 'localhost' || (isIP(host) > 0 && ipaddr.process(host).range() === 'loopback');
}

const hostOf = (hostname: string) => hostname.replace(/^\[|\]$/g, '');

/** @throws AddressRefusedError for what cannot be called, as far as the text says */
export function checkUrl(text: string, allowed: Allowed): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new AddressRefusedError(shownUrl(text), 'it is no http or https address');
  if (url.username || url.password)
    throw new AddressRefusedError(url.host, 'it has a user name: put credentials in a header');
  const host = hostOf(url.hostname);
  if (isIP(host) && !isAllowed(host, allowed)) throw notPublic(host);
  return url;
}

const notPublic = (host: string) =>
  new AddressRefusedError(host, 'it is not public: OUTBOUND_ALLOW may allow it');

/** Looks a name up as `dns.lookup` does, and refuses it if one of its addresses is not allowed. */
export const lookupAllowed =
  (allowed: Allowed): LookupFunction =>
  (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, '', 0);
      const named = allowed.includes(hostname);
      // Which address a name has inside a network is not for who asks.
      if (!named && addresses.some(({ address }) => !isAllowed(address, allowed)))
        return done(notPublic(hostname), '', 0);
      if (options.all) return done(null, addresses as never);
      const [first] = addresses;
      done(null, first?.address ?? '', first?.family);
    });
  };
