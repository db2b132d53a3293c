/** `Idempotency-Key`: the same key and body give the same job, by draft-ietf-httpapi-idempotency-key-header. */
import { createHash } from 'node:crypto';
import type { JobRequest } from '../define/define-job.ts';
import { IdempotencyKeyReusedError } from '../errors.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import {
  accept,
  check,
  newIdFor,
  type Origin,
  type Submitted,
  type Submitting,
  submit,
} from './submit.ts';

const kind = 'idempotency-key';

const hash = (text: string) => createHash('sha256').update(text).digest('hex');

/**
 * Claims the key for a new id, or takes the id that was claimed before. Submitting under a claimed id
 * again is harmless (the broker and the record know it), so a crash after the claim is mended by the
 * caller's retry. @throws IdempotencyKeyReusedError
 */
export async function submitOnce(
  app: Submitting,
  request: JobRequest,
  key: string | undefined,
  origin: Origin = {},
): Promise<Submitted & { replayed: boolean }> {
  if (key === undefined) return { ...(await submit(app, request, origin)), replayed: false };
  // A request that is refused must not use up its key.
  const checked = await check(app, request, origin);
  const id = newIdFor(app, checked);
  const { schedule } = origin;
  // Who asks for others has keys of each of them.
  const name = hash(JSON.stringify([key, request.options?.requestedBy ?? null]));
  const fingerprint = hash(JSON.stringify(schedule ? { ...request, schedule } : request));
  const claim = JSON.stringify({ id, request: fingerprint });
  const standing = await app.notes.claim(kind, name, claim);
  const claimed = JSON.parse(standing) as { id: string; request: string };
  if (claimed.request !== fingerprint) throw new IdempotencyKeyReusedError();
  const existing = claimed.id === id ? undefined : await app.records.read(claimed.id);
  if (existing) return { record: existing.record, deduplicated: false, replayed: true };
  if (claimed.id !== id && (await app.removal.removed(claimed.id)) !== undefined) {
    // What was kept of that job is gone, and its id with it.
    await app.notes.replace(kind, name, claim, standing);
    return submitOnce(app, request, key, origin);
  }
  const submitted = await accept(app, request, checked, {
    ...origin,
    id: claimed.id,
    claim: `${kind}/${name}`,
  });
  if (submitted.record.id !== claimed.id) {
    // An equal job stands for it: the key is to give that one again, also once it has ended.
    const answered = JSON.stringify({ ...claimed, id: submitted.record.id });
    await app.notes.replace(kind, name, answered, standing);
    await goWith(app, submitted.record.id, `${kind}/${name}`);
  }
  return { ...submitted, replayed: false };
}

// A record is to stay small; what is beyond goes once its job is asked for in vain.
const maxClaims = 100;

/** The claim goes when the job does. Crash before it: it stays, and gives way to the next that asks. */
async function goWith({ records }: Submitting, id: string, claim: string): Promise<void> {
  await retryOnConflict(async () => {
    const stored = await records.read(id);
    const claims = stored?.record.claims?.split(' ') ?? [];
    if (!stored || claims.includes(claim) || claims.length >= maxClaims) return;
    await records.write({ ...stored.record, claims: [...claims, claim].join(' ') }, stored.etag);
  });
}
