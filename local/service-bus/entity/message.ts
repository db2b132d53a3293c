import type { Content } from '../amqp/message.ts';
import type { Consumer } from './consumer.ts';

/** A message as its queue keeps it. Times are milliseconds since the epoch. */
export interface Message {
  sequence: number;
  /** The number it was first given; differs once it was dead-lettered. */
  enqueuedSequence: number;
  enqueuedAt: number;
  expiresAt: number | undefined;
  state: 'active' | 'deferred' | 'scheduled';
  deliveryCount: number;
  lock: Lock | undefined;
  deadLetterSource: string | undefined;
  /** How many queues forwarded it, also as a dead letter. */
  hops?: number | undefined;
  /** It waited for its time: the service goes on saying so. */
  wasScheduled?: boolean | undefined;
  /** The store has something of it beside its body: see `EntityJournal`. */
  hasOwnMeta?: boolean;
  /** The store has not got it yet. */
  isArriving?: boolean;
  content: Content;
}

/** A receiver's claim on one message. In a session the session's lock is what counts. */
export interface Lock {
  /** RFC 9562 form, lower case. */
  token: string;
  until: number;
  /** The same by the time that passes, of this process only. */
  ends: number;
  sessionId?: string | undefined;
  taker?: Consumer | undefined;
}

/** Where a message comes from that moves from one queue to another. */
export interface Origin {
  message: Message;
  /** Set when it was dead-lettered there. */
  deadLetterSource?: string | undefined;
  /** Set when it was forwarded: the deliveries there do not count here. */
  hops?: number | undefined;
}

export const newMessage = (
  content: Content,
  sequence: number,
  now: number,
  scheduled: boolean,
  from?: Origin,
): Message => ({
  sequence,
  enqueuedSequence: from?.message.enqueuedSequence ?? sequence,
  enqueuedAt: scheduled ? (content.scheduledFor ?? now) : now,
  expiresAt: undefined,
  state: scheduled ? 'scheduled' : 'active',
  deliveryCount: from && from.hops === undefined ? from.message.deliveryCount : 0,
  lock: undefined,
  deadLetterSource: from?.deadLetterSource,
  hops: from?.hops ?? from?.message.hops,
  wasScheduled: from?.message.wasScheduled,
  content,
});

// What is kept of a message beside its bare bytes: an array, as JSON makes short work of it.
type Meta = [
  ...[Message['enqueuedSequence'], Message['enqueuedAt'], number | null, Message['state'], number],
  ...[string | null, number | null, string | null, string | null, number | null],
  ...[string, string | null, boolean, number | null, number | null, number | null, string[]],
  boolean?,
];

export function toMeta(message: Message): Buffer {
  const { lock, content } = message;
  const { durable, priority, ttl } = content.header;
  const meta: Meta = [
    message.enqueuedSequence,
    message.enqueuedAt,
    message.expiresAt ?? null,
    message.state,
    message.deliveryCount,
    lock?.token ?? null,
    lock?.until ?? null,
    lock?.sessionId ?? null,
    message.deadLetterSource ?? null,
    message.hops ?? null,
    content.messageId,
    content.sessionId ?? null,
    durable,
    priority ?? null,
    ttl ?? null,
    content.scheduledFor ?? null,
    content.annotations.map((pair) => pair.toString('base64')),
    message.wasScheduled === true,
  ];
  return Buffer.from(JSON.stringify(meta));
}

export function fromMeta(sequence: number, meta: Buffer, bare: Buffer): Message {
  const [enqueuedSequence, enqueuedAt, expiresAt, state, deliveryCount, ...rest] = JSON.parse(
    meta.toString(),
  ) as Meta;
  const [token, until, lockSession, deadLetterSource, hops, messageId, sessionId, ...more] = rest;
  const [durable, priority, ttl, scheduledFor, annotations, wasScheduled] = more;
  return {
    sequence,
    enqueuedSequence,
    enqueuedAt,
    expiresAt: expiresAt ?? undefined,
    state,
    deliveryCount,
    lock:
      token === null
        ? undefined
        : { token, until: until ?? 0, ends: 0, sessionId: lockSession ?? undefined },
    deadLetterSource: deadLetterSource ?? undefined,
    hops: hops ?? undefined,
    wasScheduled,
    content: {
      messageId,
      sessionId: sessionId ?? undefined,
      header: { durable, priority: priority ?? undefined, ttl: ttl ?? undefined },
      annotations: annotations.map((pair) => Buffer.from(pair, 'base64')),
      scheduledFor: scheduledFor ?? undefined,
      bare,
    },
  };
}
