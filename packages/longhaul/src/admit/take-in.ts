/**
 * A message that somebody sent straight to a lane gets at its first delivery what `submit` does for a
 * request: its key, its expiry, its tags, and the look for an equal job.
 */

import type { KnownType } from '../define/catalogue.ts';
import { validate } from '../define/validate.ts';
import { BadMessageError, EqualJobError } from '../errors.ts';
import { type AttemptOutcome, invalid } from '../fate/outcome.ts';
import type { JobRecord } from '../model/job-record.ts';
import { type JobMessage, moved, type OutgoingMessage, toMessage } from '../model/message.ts';
import { fromBody } from '../record/claim-check.ts';
import { keyOf, sessionFor } from './key.ts';
import { claimsOf, type Submitting, startBefore } from './submit.ts';
import { tagsOf } from './tags.ts';
import { claimUnique, takeOver, uniqueClaim, uniqueName } from './unique.ts';

export type TakenIn =
  | { kind: 'run'; record: JobRecord }
  /** It belongs elsewhere. */
  | { kind: 'forward'; message: OutgoingMessage }
  /** It ends without a run. */
  | { kind: 'end'; outcome: AttemptOutcome };

// A submit that has claimed the equality writes its record within moments, or has died.
const claimPatienceMs = 60_000;

/** @throws when storage is out of reach, or another that is its equal is just being made */
export async function takeIn(
  app: Submitting,
  message: JobMessage,
  record: JobRecord,
  known: KnownType,
): Promise<TakenIn> {
  const { key, unique, tags = [] } = known.definition;
  const dated = { ...startBefore(known, {}, new Date(record.createdAt)), ...record };
  const isTagged = typeof tags === 'function' || tags.length > 0;
  if (!key && !unique && !isTagged) return { kind: 'run', record: dated };
  let named: Named;
  try {
    named = await nameOf(app, message, dated, known);
  } catch (error) {
    const outcome = invalid(error);
    if (outcome) return { kind: 'end', outcome };
    throw error;
  }
  const tagged = { ...dated, ...named.tags };
  const single = await withoutEqual(app, tagged, known, named.unique);
  if (single.kind !== 'run' || !key || named.key === message.key) return single;
  return { kind: 'forward', message: toKeyed(message, single.record, known, named.key) };
}

interface Named {
  key: string | undefined;
  unique: string | undefined;
  tags: { tags?: string[] };
}

/** Its key and its equality, by the type's own functions. @throws InvalidInputError, BadMessageError */
async function nameOf(
  app: Submitting,
  message: JobMessage,
  { requestedBy, tags }: JobRecord,
  known: KnownType,
): Promise<Named> {
  const raw = await fromBody(app.blobs, message.id, message);
  const input = await validate(known.definition.input, raw, 'The input');
  const requester = requestedBy === undefined ? {} : { requestedBy };
  try {
    return {
      key: keyOf(known, input, requester),
      unique: uniqueName(known, input, requester),
      tags: tagsOf(known, input, requester, tags),
    };
  } catch (cause) {
    throw new BadMessageError((cause as Error).message, { cause });
  }
}

/** The key's promise is kept by its session: outside it nothing of the type runs. */
function toKeyed(
  message: JobMessage,
  { createdAt, startBefore, claims, tags }: JobRecord,
  { policy }: KnownType,
  key: string | undefined,
): OutgoingMessage {
  const { session: _s, key: _k, ...given } = message;
  const sent = toMessage({
    ...given,
    queue: policy.lane.keyed,
    ...sessionFor(key, policy.limit, message.id),
    createdAt,
    ...(tags ? { tags } : {}),
    ...(startBefore === undefined ? {} : { startBefore }),
    ...(claims === undefined ? {} : { claims }),
  });
  return moved(sent, message.id);
}

/** Its claim is another's, who has not recorded a job yet: to be looked at again soon. */
class ClaimPendingError extends Error {}

async function withoutEqual(
  app: Submitting,
  record: JobRecord,
  known: KnownType,
  name: string | undefined,
): Promise<TakenIn> {
  const { id, createdAt } = record;
  if (name === undefined) return { kind: 'run', record };
  const now = app.clock.now();
  const claimed = await claimUnique(app, known, name, id, now);
  if (claimed.standing)
    return { kind: 'end', outcome: { kind: 'equal', error: new EqualJobError(id, claimed.id) } };
  if (claimed.id !== id) {
    if (now.getTime() - Date.parse(createdAt) < claimPatienceMs)
      throw new ClaimPendingError(`Job '${claimed.id}', its equal, is just being made.`);
    await takeOver(app.notes, name, id, claimed.id);
  }
  return { kind: 'run', record: { ...record, ...claimsOf(record.claims, uniqueClaim(name)) } };
}
