/**
 * Shared access signatures, checked when the broker was given keys
 * (learn.microsoft.com/azure/service-bus-messaging/service-bus-sas).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { parseAddress } from '../address.ts';
import { ServiceBusFault } from '../entity/errors.ts';

export interface SharedKey {
  name: string;
  key: string;
}

export class Tokens {
  readonly #keys: readonly SharedKey[];
  readonly #now: () => number;

  /** Without keys everybody may do everything: the default on one machine. */
  constructor(keys: readonly SharedKey[], now: () => number) {
    this.#keys = keys;
    this.#now = now;
  }

  get areChecked(): boolean {
    return this.#keys.length > 0;
  }

  /** Until when the token allows the path, in ms since the epoch. @throws ServiceBusFault */
  check(token: string, path: string): number {
    if (!this.areChecked) return Number.POSITIVE_INFINITY;
    const parts = new URLSearchParams(token.replace(/^SharedAccessSignature\s+/i, ''));
    const [sr, sig, se, skn] = ['sr', 'sig', 'se', 'skn'].map((name) => parts.get(name) ?? '');
    // The signature is over the resource as it stands in the token, encoded.
    const [, encoded = ''] = /(?:^|[&\s])sr=([^&]*)/.exec(token) ?? [];
    const key = this.#keys.find(({ name }) => name === skn)?.key;
    if (!key) throw unauthorized(`There is no key named '${skn}'.`);
    const expected = createHmac('sha256', key).update(`${encoded}\n${se}`).digest('base64');
    if (!isSame(sig ?? '', expected)) throw unauthorized('The signature is not that of the key.');
    const until = Number(se) * 1000;
    if (!(until > this.#now())) throw unauthorized(`The token expired at ${se}.`);
    // The SDK signs the whole address of a request to the administration.
    const resource = parseAddress((sr ?? '').replace(/\?.*$/, '')).path.toLowerCase();
    if (!isBelow(parseAddress(path).path.toLowerCase(), resource))
      throw unauthorized(`The token is for '${resource}', not for '${path}'.`);
    return until;
  }

  checkKey(name: string, key: string): boolean {
    if (!this.areChecked) return true;
    return this.#keys.some((known) => known.name === name && isSame(known.key, key));
  }
}

/** What one connection may use. */
export class Grants {
  readonly #tokens: Tokens;
  readonly #granted = new Map<string, number>();
  readonly #now: () => number;

  constructor(tokens: Tokens, now: () => number) {
    this.#tokens = tokens;
    this.#now = now;
  }

  /** @throws ServiceBusFault */
  put(token: string, audience: string): void {
    const path = parseAddress(audience).path.toLowerCase();
    this.#granted.set(path, this.#tokens.check(token, path));
  }

  /** When the first of those ends that hold now; never, if nothing is checked. */
  nextEnd(): number {
    const now = this.#now();
    const ends = this.#tokens.areChecked ? [...this.#granted.values()] : [];
    return Math.min(Number.POSITIVE_INFINITY, ...ends.filter((until) => until > now));
  }

  allowAll(): void {
    this.#granted.set('', Number.POSITIVE_INFINITY);
  }

  /** @throws ServiceBusFault when no token that holds was put for it */
  check(path: string): void {
    if (!this.#tokens.areChecked) return;
    for (const [granted, until] of this.#granted)
      if (until > this.#now() && isBelow(path.toLowerCase(), granted)) return;
    throw unauthorized(`Unauthorized access to '${path}': put a token for it.`);
  }
}

/** A resource may end in a slash. */
function isBelow(path: string, named: string): boolean {
  const resource = named.replace(/\/+$/, '');
  return resource === '' || path === resource || path.startsWith(`${resource}/`);
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

const unauthorized = (why: string) =>
  new ServiceBusFault('amqp:unauthorized-access', `Unauthorized access. ${why}`);
