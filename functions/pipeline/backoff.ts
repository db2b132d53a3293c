import type { Backoff } from '../define-job.ts';
import { RetryAfterError } from '../errors.ts';
import { toMs } from '../model/duration.ts';

/**
 * Milliseconds to wait before the attempt after `attempt` (from 1). `random` is in [0, 1).
 *
 * Exponential with jitter over the upper half: AWS' "Exponential Backoff And Jitter" shows why waits
 * that are alike come back alike.
 */
export function waitMs(backoff: Backoff, attempt: number, error: Error, random: number): number {
  if (error instanceof RetryAfterError) return Math.max(0, error.retryAfterMs);
  if (typeof backoff === 'function') return toMs(backoff(attempt, error));
  const { initial, factor = 2, max = '10m', jitter = true } = backoff;
  const full = Math.min(toMs(initial) * factor ** (attempt - 1), toMs(max));
  return Math.round(jitter ? full * (0.5 + random / 2) : full);
}
