import type { Backoff } from '../define-job.ts';
import { RetryAfterError } from '../errors.ts';
import { type Duration, durationPattern, toMs } from '../model/duration.ts';

/**
 * Milliseconds to wait before the attempt after `attempt` (from 1). `random` is in [0, 1).
 *
 * Exponential with jitter over the upper half: AWS' "Exponential Backoff And Jitter" shows why waits
 * that are alike come back alike.
 */
export function waitMs(
  backoff: Backoff,
  attempt: number,
  error: Error,
  random: number,
  now: Date,
): number {
  const asked = error instanceof RetryAfterError ? msUntil(error.retryAfter, now) : Number.NaN;
  if (!Number.isNaN(asked)) return Math.max(0, asked);
  if (typeof backoff === 'function') return toMs(backoff(attempt, error));
  const { initial, factor = 2, max = '10m', jitter = true } = backoff;
  const full = Math.min(toMs(initial) * factor ** (attempt - 1), toMs(max));
  return Math.round(jitter ? full * (0.5 + random / 2) : full);
}

/** Milliseconds from now; NaN for what cannot be read: then the type's own backoff holds. */
function msUntil(retryAfter: RetryAfterError['retryAfter'], now: Date): number {
  if (typeof retryAfter === 'number') return retryAfter;
  if (retryAfter instanceof Date) return retryAfter.getTime() - now.getTime();
  if (durationPattern.test(retryAfter)) return toMs(retryAfter as Duration);
  // RFC 9110, 10.2.3: seconds, or an HTTP date.
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
  return Date.parse(retryAfter) - now.getTime();
}
