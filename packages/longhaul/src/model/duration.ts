/** A time span as an author writes it: `'500ms'`, `'30s'`, `'10m'`, `'2h'`, `'7d'`. */
import { z } from 'zod';

export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

// Ten years: longer is a slip, and times that far off cannot be told to storage and the bus.
export const longestDuration = '3650d';
const longestMs = 3_650 * unitMs.d;

/** Milliseconds of a duration; throws RangeError on anything else. */
export function toMs(duration: Duration): number {
  const match = pattern.exec(duration);
  if (!match)
    throw new RangeError(`'${duration}' is no duration: write 500ms, 30s, 10m, 2h or 7d.`);
  const ms = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
  if (ms > longestMs) throw new RangeError(`'${duration}' is longer than ${longestDuration}.`);
  return ms;
}

export function isDuration(text: string): text is Duration {
  try {
    return toMs(text as Duration) >= 0;
  } catch {
    return false;
  }
}

/** A duration that comes from outside. */
export const durationSchema = z
  .string()
  .max(32)
  .regex(pattern, "write a duration such as '30s', '10m' or '2h'")
  .refine((text) => !pattern.test(text) || isDuration(text), {
    error: `is longer than ${longestDuration}`,
  })
  .transform((text) => text as Duration);
