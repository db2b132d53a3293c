import type { Backoff } from '../define/define-job.ts';
import { RetryAfterError } from '../errors.ts';
import { isDuration, toMs } from '../model/duration.ts';

// Whatever a remote asks for: quotas come back within a day, and a year would be a job lost.
const longestAskedMs = 24 * 3_600_000;
const byDefault = { initial: '5s' } as const;

interface Failure {
  /** The one that failed, from 1. */
  attempt: number;
  error: Error;
  /** In [0, 1). */
  random: number;
  now: Date;
}

/**
 * Milliseconds to wait before the next attempt.
 *
 * Exponential with jitter over the upper half: AWS' "Exponential Backoff And Jitter" shows why waits
 * that are alike come back alike. Never an error of its own: it is asked for when an attempt has
 * failed already.
 */
export function waitMs(backoff: Backoff, { attempt, error, random, now }: Failure): number {
  const asked = error instanceof RetryAfterError ? msUntil(error.retryAfter, now) : Number.NaN;
  if (!Number.isNaN(asked)) return Math.min(Math.max(0, asked), longestAskedMs);
  return Math.round(ownMs(backoff, attempt, error, random));
}

function ownMs(backoff: Backoff, attempt: number, error: Error, random: number): number {
  if (typeof backoff === 'function')
    return askedOf(backoff, attempt, error) ?? ownMs(byDefault, attempt, error, random);
  const { initial, factor = 2, max = '10m', jitter = true } = backoff;
  const full = Math.min(toMs(initial) * factor ** (attempt - 1), toMs(max));
  return jitter ? full * (0.5 + random / 2) : full;
}

/** What a function of the author's answers; undefined if that is no duration, or it throws. */
function askedOf(
  backoff: Extract<Backoff, (...given: never[]) => unknown>,
  attempt: number,
  error: Error,
): number | undefined {
  try {
    const asked = backoff(attempt, error);
    return isDuration(asked) ? toMs(asked) : undefined;
  } catch {
    return undefined;
  }
}

/** Milliseconds from now; NaN for what cannot be read: then the type's own backoff holds. */
export function msUntil(retryAfter: RetryAfterError['retryAfter'], now: Date): number {
  if (typeof retryAfter === 'number') return retryAfter;
  if (retryAfter instanceof Date) return retryAfter.getTime() - now.getTime();
  if (isDuration(retryAfter)) return toMs(retryAfter);
  // RFC 9110, 10.2.3: seconds, or an HTTP date.
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
  return Date.parse(retryAfter) - now.getTime();
}
