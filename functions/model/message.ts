/**
 * A job as a Service Bus message, and back. Any program may send one straight to a lane: only the
 * application property `type` is required.
 */
import { randomUUID } from 'node:crypto';
import { isId } from './id.ts';
import type { JobRecord, Provenance } from './job-record.ts';
import { messageIdOf } from './names.ts';

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
  enqueuedAt?: Date;
}

/** The same for the same turn of the same job: the broker drops the second. */
const turnMessageId = (id: string, turn: number) => (turn === 1 ? id : messageIdOf(id, turn));

// Carried as application properties under their own names.
const properties = [
  'requestedBy',
  'parent',
  'place',
  'schedule',
  'scheduledFor',
  'startBefore',
  'callback',
  'claims',
  'createdAt',
  'traceparent',
] as const;

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
      attempt: job.attempt,
      ...(job.turn === job.attempt ? {} : { turn: job.turn }),
      // A later turn's MessageId is made from the id, and nobody takes it apart again.
      ...(job.turn === 1 ? {} : { job: job.id }),
      ...(job.key !== undefined && job.session !== undefined ? { key: job.key } : {}),
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
  const { requestedBy, parent, place, schedule, scheduledFor } = record;
  const { replyTo, replyToSessionId, correlationId, callback, claims } = record;
  const told = { key, session, startBefore, requestedBy, parent, place, schedule, scheduledFor };
  const given = Object.entries({
    ...told,
    replyTo,
    replyToSessionId,
    correlationId,
    callback,
    claims,
  });
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
}

/** Who sends to a lane without knowing of limits gives the key as the session. */
function lineOf(key: string | undefined, session: string | undefined) {
  if (session === undefined) return {};
  return key === undefined || key === session ? { key: session } : { key, session };
}

/** A message of before `job` was said: its id, and the turn behind it. */
function ownId(messageId: string, turn: number): string {
  const suffix = `:${turn}`;
  const before = messageId.slice(0, -suffix.length);
  return turn > 1 && messageId.endsWith(suffix) && isId(before) ? before : messageId;
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
  const attempt = count('attempt', 1);
  const turn = count('turn', attempt);
  const carried = properties.flatMap((name) => {
    const value = text(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const { sessionId, correlationId, replyTo, replyToSessionId } = message;
  return {
    id: text('job') ?? ownId(messageId, turn),
    type: text('type') ?? '',
    attempt,
    turn,
    queue: message.queue,
    contentType: message.contentType ?? 'application/json',
    body: message.body,
    ...lineOf(text('key'), sessionId),
    ...(message.enqueuedAt ? { enqueuedAt: message.enqueuedAt } : {}),
    ...(correlationId ? { correlationId } : {}),
    ...(replyTo ? { replyTo } : {}),
    ...(replyToSessionId ? { replyToSessionId } : {}),
    ...Object.fromEntries(carried),
  };
}
