/** The lines that a job logged, kept beside its record: one JSON object a line, in one blob. */
import { BadRequestError } from '../errors.ts';
import { logBlob } from '../model/names.ts';
import type { Blobs } from '../ports.ts';

export const levels = ['info', 'warn', 'error'] as const;

export interface LogLine {
  at: string;
  level: (typeof levels)[number];
  message: string;
  attempt: number;
  fields?: unknown;
}

/** What is kept of one; more of it is left out. */
export const lineChars = 8_000;

// More than the longest line has, whatever it is made of.
const partBytes = 256 * 1024;

/** Lines from a place on, and the place behind them. @throws BadRequestError */
export async function readLines(blobs: Blobs, id: string, after: number, limit: number) {
  const part = await blobs.readPart(logBlob(id), after, partBytes);
  const lines: LogLine[] = [];
  let from = 0;
  while (lines.length < limit) {
    const end = part.indexOf('\n', from);
    if (end < 0) break;
    lines.push(toLine(part.subarray(from, end).toString('utf8')));
    from = end + 1;
  }
  return { lines, after: after + from };
}

function toLine(text: string): LogLine {
  try {
    const line = JSON.parse(text) as LogLine;
    if (typeof line === 'object' && line !== null) return line;
  } catch {}
  throw new BadRequestError('No line begins there: give the `after` of the page before.');
}
