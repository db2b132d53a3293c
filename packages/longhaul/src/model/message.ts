/**
 * A job as a Service Bus message, and back. Any program may send one straight to a lane: only the
 * application property `type` is required.
 */
import { randomUUID } from 'node:crypto';
import type { JobRecord, Provenance } from './job-record.ts';
import { messageIdOf } from './names.ts';
import { fromText, toText } from './tag.ts';

export const blobContentType = 'application/vnd.longhaul.blob+json';

/** A message as the SDK takes it, in the few fields that Longhaul uses. */
export interface OutgoingMessage {
  queue: string;
  messageId: string;
  sessionId?: string;
  contentType: string;
  body: Buffer;
  correlationId?: string;
  replyTo?: string;
  replyToSessionId?: string;
  subject?: string;
  /** When it becomes visible, if not at once. */
  at?: Date;
  properties: Record<string, string | number>;
}

/** What a message on a lane says of its job. */
export interface JobMessage extends Provenance {
  id: string;
  type: string;
  attempt: number;
  /** Which hand-over of the job it is, from 1; the attempt if the job never waited. */
  turn: number;
  queue: string;
  key?: string;
  /** Where it is another than the key: one of the sessions of a key with a limit. */
  session?: string;
  contentType: string;
  body: Buffer;
  createdAt?: string;
  startBefore?: string;
  traceparent?: string;
  tags?: string[];
  enqueuedAt?: Date;
  /** Somebody sent it straight to the lane: this message, not only the first of its job. */
  isForeign?: true;
}

/** Says that the app sent it; `azure/seal.ts` lets nobody else say so. */
export const ours = { longhaul: 1 } as const;

/** The same for the same turn of the same job: the broker drops the second. */
const turnMessageId = (id: string, turn: number) => (turn === 1 ? id : messageIdOf(id, turn));

// Carried as application properties under their own names. Whoever sends to a lane may say some …
const strangers = ['requestedBy', 'startBefore', 'traceparent'] as const;
// … and the app alone the others, which decide over other jobs and notes.
const appsAlone = [
  ...(['parent', 'place', 'above', 'schedule', 'scheduledFor', 'callback', 'claims'] as const),
  ...(['createdAt', 'foreign'] as const),
] as const;
const properties = [...strangers, ...appsAlone] as const;

/** What the app says in properties, but for what tracing may write anew. */
export const ownProperties: readonly string[] = [
  ...['type', 'attempt', 'turn', 'job', 'key'],
  ...properties.filter((name) => name !== 'traceparent'),
];

export function toMessage(job: JobMessage, at?: Date): OutgoingMessage {
  const carried = properties.flatMap((name) => (job[name] ? [[name, job[name]] as const] : []));
  return {
    queue: job.queue,
    messageId: turnMessageId(job.id, job.turn),
    ...(job.key !== undefined ? { sessionId: job.session ?? job.key } : {}),
    contentType: job.contentType,
    body: job.body,
    ...(job.correlationId ? { correlationId: job.correlationId } : {}),
    ...(job.replyTo ? { replyTo: job.replyTo } : {}),
    ...(job.replyToSessionId ? { replyToSessionId: job.replyToSessionId } : {}),
    ...(at ? { at } : {}),
    properties: {
      type: job.type,
      ...ours,
      attempt: job.attempt,
      ...(job.turn === job.attempt ? {} : { turn: job.turn }),
      // A later turn's MessageId is made from the id, and nobody takes it apart again.
      ...(job.turn === 1 ? {} : { job: job.id }),
      ...(job.key !== undefined && job.session !== undefined ? { key: job.key } : {}),
      // Not signed: a version before would not know the signature.
      ...(job.tags ? { tags: toText(job.tags) } : {}),
      ...Object.fromEntries(carried),
    },
  };
}

/** The message of a job's present turn, made again from its record. */
export function fromRecord(
  record: JobRecord,
  content: { body: Buffer; contentType: string },
): JobMessage {
  const { id, type, attempt, turn, queue, createdAt, key, session, startBefore } = record;
  const { requestedBy, parent, place, above, schedule, scheduledFor, foreign } = record;
  const { replyTo, replyToSessionId, correlationId, callback, claims } = record;
  const told = {
    key,
    session,
    tags: record.tags,
    startBefore,
    requestedBy,
    parent,
    place,
    above,
    schedule,
  };
  const back = { replyTo, replyToSessionId, correlationId, callback, claims };
  const given = Object.entries({ ...told, ...back, scheduledFor, foreign });
  const known = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  return { id, type, attempt, turn, queue, createdAt, ...known, ...content };
}

/** A message as it was delivered. */
export interface IncomingMessage {
  queue: string;
  messageId?: string | undefined;
  sessionId?: string | undefined;
  contentType?: string | undefined;
  correlationId?: string | undefined;
  replyTo?: string | undefined;
  replyToSessionId?: string | undefined;
  body: Buffer;
  properties: Record<string, unknown>;
  /** The broker's number of it, and when it took it. */
  sequence?: string | undefined;
  enqueuedAt?: Date | undefined;
  /** How often the broker has handed it over, this time included; unknown where it does not say. */
  deliveries?: number | undefined;
}

/** Who sends to a lane without knowing of limits gives the key as the session. */
function lineOf(key: string | undefined, session: string | undefined) {
  if (session === undefined) return {};
  return key === undefined || key === session ? { key: session } : { key, session };
}

/** What follows the first hand-over of a job in the id of a message that moved to another queue. */
const movedTo = 'keyed';

/** The message under an id of its own: in the same queue the broker knows the one it came from. */
export const moved = (message: OutgoingMessage, id: string): OutgoingMessage => ({
  ...message,
  messageId: messageIdOf(id, movedTo),
  properties: { ...message.properties, job: id },
});

/** Which job a message of ours is of, and which turn. */
function identify(messageId: string, job: string | undefined, turn: number) {
  if (job !== undefined && messageId === messageIdOf(job, turn)) return { id: job, turn };
  if (job !== undefined && messageId === messageIdOf(job, movedTo)) return { id: job, turn: 1 };
  return { id: messageId, turn: 1 };
}

/** Delivered again, it is the same job. */
const idWithoutName = ({ queue, sequence }: IncomingMessage): string =>
  sequence === undefined ? randomUUID() : `${queue} ${sequence}`;

/** Reads a delivered message; `type` is empty when the sender gave none. */
export function fromMessage(message: IncomingMessage): JobMessage {
  const text = (name: string) => {
    const value = message.properties[name];
    return value === undefined || value === null ? undefined : String(value);
  };
  const messageId = message.messageId || idWithoutName(message);
  const count = (name: string, missing: number) => {
    const given = Number(text(name) ?? missing);
    return Number.isInteger(given) && given > 0 ? given : missing;
  };
  const isOurs = text('longhaul') === String(ours.longhaul);
  const said = count('attempt', 1);
  const { id, turn } = isOurs
    ? identify(messageId, text('job'), count('turn', said))
    : { id: messageId, turn: 1 };
  const carried = (isOurs ? properties : strangers).flatMap((name) => {
    const value = text(name);
    // A time that is none says nothing.
    const isTime = name === 'createdAt' || name === 'startBefore';
    const isRead = value !== undefined && !(isTime && Number.isNaN(Date.parse(value)));
    // In one form: `Date.parse` passes over what stands in brackets.
    return isRead ? [[name, isTime ? new Date(value).toISOString() : value] as const] : [];
  });
  const { sessionId, correlationId, replyTo, replyToSessionId } = message;
  const tags = fromText(text('tags') ?? '');
  return {
    id,
    type: text('type') ?? '',
    attempt: turn === 1 ? 1 : said,
    turn,
    queue: message.queue,
    contentType: message.contentType ?? 'application/json',
    body: message.body,
    ...lineOf(isOurs ? text('key') : undefined, sessionId),
    ...(tags.length > 0 ? { tags } : {}),
    ...(message.enqueuedAt ? { enqueuedAt: message.enqueuedAt } : {}),
    ...(correlationId ? { correlationId } : {}),
    ...(replyTo ? { replyTo } : {}),
    ...(replyToSessionId ? { replyToSessionId } : {}),
    ...Object.fromEntries(carried),
    ...(isOurs ? {} : { isForeign: true as const, foreign: 'yes' }),
  };
}
