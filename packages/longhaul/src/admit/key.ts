/**
 * Beside whom a job runs: its key, and the session that holds it.
 *
 * The broker gives each session to one worker at a time. A key with a limit of n has n sessions, the
 * key itself and `key~1` to `key~{n-1}`, so that types with other limits share the key. The session
 * follows from the job's id: sent twice, a job meets its own copy.
 */

import { callAuthors } from '../define/authors-code.ts';
import type { KnownType } from '../define/catalogue.ts';
import type { Requester } from '../define/define-job.ts';
import { BadRequestError } from '../errors.ts';
import { inSlot, slotOf } from '../model/id.ts';

// Service Bus quotas: a session id has 128 characters at most; four are for the session's number.
const maxKeyChars = 124;

/** `given`: by who asks, for a type that has none. @throws BadRequestError */
export function keyOf(
  { definition }: KnownType,
  input: unknown,
  requester: Requester,
  given?: string,
): string | undefined {
  if (given !== undefined && definition.key)
    throw new BadRequestError(`Job type '${definition.type}' has a key of its own.`, [
      { pointer: '/key', message: 'is given by the job type' },
    ]);
  const { type, key: ofType } = definition;
  const key = given ?? callAuthors('The key', type, () => ofType?.(input as never, requester));
  if (key === undefined) return undefined;
  if (key.length > 0 && key.length <= maxKeyChars) return key;
  throw new BadRequestError(
    `The key of this job has ${key.length} characters: it may have 1 to ${maxKeyChars}.`,
  );
}

/** What a message and a record say of the key; `session` only where it is another than the key. */
export function sessionFor(
  key: string | undefined,
  limit: number,
  id: string,
): { key?: string; session?: string } {
  return key === undefined ? {} : sessionOfSlot(key, slotOf(id, limit));
}

export const sessionOfSlot = (key: string, slot: number): { key: string; session?: string } =>
  slot === 0 ? { key } : { key, session: `${key}~${slot}` };

const maxKeysKnown = 10_000;

/** Gives the sessions of a key their jobs in turn, by the ids of the jobs. */
export class SessionAllocator {
  readonly #random: () => number;
  readonly #last = new Map<string, number>();

  constructor(random: () => number) {
    this.#random = random;
  }

  /** `id` itself, or one that differs in its random end. */
  idFor(id: string, key: string | undefined, limit: number): string {
    if (key === undefined || limit === 1) return id;
    // Another process begins elsewhere.
    const last = this.#last.get(key) ?? Math.floor(this.#random() * limit);
    const slot = (last + 1) % limit;
    this.#last.delete(key);
    this.#last.set(key, slot);
    const [oldest] = this.#last.keys();
    if (this.#last.size > maxKeysKnown && oldest !== undefined) this.#last.delete(oldest);
    return inSlot(id, slot, limit, this.#random());
  }
}
