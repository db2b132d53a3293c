/** What we have in common with whom we call: the secrets that sign callbacks, the headers of web calls. */
import { AddressRefusedError } from '../errors.ts';
import { type Allowed, checkUrl, isLoopback } from './address.ts';

export interface Outbound {
  allowed: Allowed;
  /** Each `whsec_` and a key in base64, the newest first: for any receiver without its own … */
  secret: readonly string[] | undefined;
  /** … and by host name. One receiver's secret is not to sign for another. */
  secrets: ReadonlyMap<string, readonly string[]>;
  /** Headers of web calls that no job is to hold, by host name. */
  headers: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** The secrets that sign a callback to this address. @throws AddressRefusedError */
export function signersOf(text: string, { allowed, secret, secrets }: Outbound): readonly string[] {
  const url = checkUrl(text, allowed);
  const refuse = (why: string) => new AddressRefusedError(url.host, why);
  if (url.protocol !== 'https:' && !isLoopback(url))
    throw refuse('callbacks go to https addresses');
  const signers = secrets.get(url.hostname) ?? secret;
  if (signers) return signers;
  throw refuse('it has no secret: set one in CALLBACK_SECRETS, or CALLBACK_SECRET for all');
}

/** What is added to a web call of this address, and is not for a wire that others read. */
export function secretHeadersOf(text: string, { allowed, headers }: Outbound) {
  const url = checkUrl(text, allowed);
  return url.protocol === 'https:' || isLoopback(url) ? (headers.get(url.hostname) ?? {}) : {};
}
