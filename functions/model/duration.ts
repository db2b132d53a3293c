/** A time span as an author writes it: `'500ms'`, `'30s'`, `'10m'`, `'2h'`, `'7d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Milliseconds of a duration; throws RangeError on anything else. */
export function toMs(duration: Duration): number {
  const match = durationPattern.exec(duration);
  if (!match)
    throw new RangeError(`'${duration}' is no duration: write 500ms, 30s, 10m, 2h or 7d.`);
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}
