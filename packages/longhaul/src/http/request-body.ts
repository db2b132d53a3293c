/** The body of `POST /jobs`, read by a schema; its fields are those of the design's HTTP table. */
import { z } from 'zod';
import type { JobRequest } from '../define/define-job.ts';
import { BadRequestError, boundIssues, listIssues, toPointer } from '../errors.ts';
import { durationSchema as duration } from '../model/duration.ts';
import { mostTags, tagChars } from '../model/tag.ts';

/** A name or a word that goes on: into records, messages and streams. */
export const textOf = (chars: number) =>
  z
    .string()
    .min(1)
    .max(chars)
    // Neither storage nor the bus can keep one.
    .refine((given) => !/\p{Cs}/u.test(given), 'holds half of a character (a lone surrogate)')
    .refine((given) => !/\p{Cc}/u.test(given), 'holds control characters');

const text = textOf(256);

/** Years have four digits, in UTC too: where it is shown nobody reads more. */
export const timeSchema = z.iso
  .datetime({ offset: true, error: 'write a time such as 2026-12-01T08:00:00Z' })
  .max(40)
  .refine((given) => !Number.isNaN(Date.parse(given)), 'is no time')
  .refine((given) => new Date(given).getUTCFullYear() <= 9999, 'is after the year 9999')
  .refine((given) => new Date(given).getUTCFullYear() >= 0, 'is before the year 0');

export const typeName = z.string('is missing: name the job type').min(1).max(100);

const tagPattern = /^[^,\s]([^,]*[^,\s])?$/;

export const requestBody = z.strictObject({
  type: typeName,
  input: z.unknown().optional(),
  delay: duration.optional(),
  runAt: timeSchema.optional(),
  expiresIn: duration.optional(),
  priority: z.enum(['urgent', 'standard', 'bulk', 'heavy']).optional(),
  replyTo: text.optional(),
  replyToSessionId: textOf(128).optional(),
  correlationId: text.optional(),
  callback: z.strictObject({ url: z.string().max(2048) }).optional(),
  requestedBy: text.optional(),
  tags: z.array(textOf(tagChars).regex(tagPattern)).max(mostTags).optional(),
});

/** @throws BadRequestError that names each field */
export function readBody<S extends z.ZodType>(body: S, value: unknown, what: string): z.output<S> {
  const parsed = body.safeParse(value);
  if (parsed.success) return parsed.data;
  const found = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          pointer: toPointer([...issue.path, key]),
          message: `is no field of a ${what}`,
        }))
      : [{ pointer: toPointer(issue.path), message: issue.message }],
  );
  const issues = boundIssues(found);
  throw new BadRequestError(`This is no ${what}. ${listIssues(issues)}`, issues);
}

/** @throws BadRequestError */
export function toRequest(body: unknown): JobRequest {
  const { type, input, runAt, expiresIn, ...options } = readBody(
    requestBody,
    body,
    'request for a job',
  );
  return {
    type,
    input: input === undefined ? {} : input,
    options: {
      ...(Object.fromEntries(
        Object.entries(options).filter(([, value]) => value !== undefined),
      ) as JobRequest['options']),
      ...(runAt ? { runAt: new Date(runAt) } : {}),
      ...(expiresIn ? { startBefore: expiresIn } : {}),
    },
  };
}
