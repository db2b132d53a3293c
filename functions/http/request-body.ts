/** The body of `POST /jobs`, read by a schema; its fields are those of the design's HTTP table. */
import { z } from 'zod';
import type { JobRequest } from '../define-job.ts';
import { BadRequestError, listIssues, toPointer } from '../errors.ts';
import { durationSchema as duration } from '../model/duration.ts';

const text = z
  .string()
  .min(1)
  .max(256)
  // Neither storage nor the bus can keep one.
  .refine((given) => !/\p{Cs}/u.test(given), 'holds half of a character (a lone surrogate)');

export const requestBody = z.strictObject({
  type: z.string('is missing: name the job type').min(1),
  input: z.unknown().optional(),
  delay: duration.optional(),
  runAt: z.iso
    .datetime({ offset: true, error: 'write a time such as 2026-12-01T08:00:00Z' })
    .optional(),
  expiresIn: duration.optional(),
  priority: z.enum(['urgent', 'standard', 'bulk', 'heavy']).optional(),
  replyTo: text.optional(),
  replyToSessionId: text.refine((id) => id.length <= 128, 'has 128 characters at most').optional(),
  correlationId: text.optional(),
  callback: z.strictObject({ url: z.string().max(2048) }).optional(),
  requestedBy: text.optional(),
});

/** @throws BadRequestError that names each field */
export function readBody<S extends z.ZodType>(body: S, value: unknown, what: string): z.output<S> {
  const parsed = body.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ pointer: `/${key}`, message: `is no field of a ${what}` }))
      : [{ pointer: toPointer(issue.path), message: issue.message }],
  );
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
