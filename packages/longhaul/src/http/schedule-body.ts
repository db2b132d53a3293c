/** The body of a schedule, read by a schema. */
import { z } from 'zod';
import { durationSchema as duration } from '../model/duration.ts';
import type { ScheduleDefinition } from '../model/schedule.ts';
import { readBody, textOf, timeSchema, typeName } from './request-body.ts';

const time = timeSchema.transform((text) => new Date(text).toISOString());
const text = textOf(256);

const fields = {
  type: typeName,
  input: z.unknown().optional(),
  cron: text.optional(),
  timeZone: text.optional(),
  every: duration.optional(),
  at: time.optional(),
  tenant: text.optional(),
  overlap: z.enum(['skip', 'queue', 'allow']).default('skip'),
  misfire: z.enum(['skip', 'once', 'all']).default('once'),
  jitter: duration.optional(),
  startsAt: time.optional(),
  endsAt: time.optional(),
  enabled: z.boolean().default(true),
  lane: z.enum(['urgent', 'standard', 'bulk', 'heavy']).optional(),
  key: textOf(124).optional(),
};
export const scheduleBody = z.strictObject(fields);
export const namedScheduleBody = z.strictObject({
  id: z.string('is missing: give the schedule an id').max(100),
  ...fields,
});

const given = (fieldsOf: object) =>
  Object.fromEntries(
    Object.entries({ input: {}, ...fieldsOf }).filter(([, value]) => value !== undefined),
  ) as unknown as ScheduleDefinition;

/** @throws BadRequestError that names each field */
export const toDefinition = (body: unknown): ScheduleDefinition =>
  given(readBody(scheduleBody, body, 'schedule'));

/** One of many. @throws BadRequestError */
export function toNamedDefinition(body: unknown): { id: string; definition: ScheduleDefinition } {
  const { id, ...rest } = readBody(namedScheduleBody, body, 'schedule');
  return { id, definition: given(rest) };
}

/** A JSON merge patch (RFC 7396): what is null goes, the rest stays. @throws BadRequestError */
export function patched(definition: ScheduleDefinition, patch: unknown): ScheduleDefinition {
  const changes = readBody(z.record(z.string(), z.unknown()), patch, 'patch');
  return toDefinition(merged(definition, changes));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7396, 2: objects are merged at every depth, anything else takes the place of what was there. */
function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const kept = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch))
    if (value === null) kept.delete(name);
    else kept.set(name, merged(kept.get(name), value));
  return Object.fromEntries(kept);
}
