import type { Content } from '../amqp/message.ts';

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
  /** How many queues forwarded it. */
  hops?: number | undefined;
  content: Content;
}

/** A receiver's claim on one message. In a session the session's lock is what counts. */
export interface Lock {
  /** RFC 9562 form, lower case. */
  token: string;
  until: number;
  sessionId?: string | undefined;
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
  hops: from?.hops,
  content,
});

type Meta = Omit<Message, 'content' | 'sequence'> & {
  content: Omit<Content, 'annotations' | 'bare'> & { annotations: string[] };
};

export function toMeta({ content, sequence: _, ...rest }: Message): Buffer {
  const { bare: _bare, annotations, ...known } = content;
  const meta: Meta = {
    ...rest,
    content: { ...known, annotations: annotations.map((pair) => pair.toString('base64')) },
  };
  return Buffer.from(JSON.stringify(meta));
}

export function fromMeta(sequence: number, meta: Buffer, bare: Buffer): Message {
  const { content, ...rest } = JSON.parse(meta.toString()) as Meta;
  const annotations = content.annotations.map((pair) => Buffer.from(pair, 'base64'));
  return {
    enqueuedSequence: rest.enqueuedSequence,
    enqueuedAt: rest.enqueuedAt,
    expiresAt: rest.expiresAt,
    state: rest.state,
    deliveryCount: rest.deliveryCount,
    lock: rest.lock,
    deadLetterSource: rest.deadLetterSource,
    hops: rest.hops,
    sequence,
    content: {
      messageId: content.messageId,
      sessionId: content.sessionId,
      header: {
        durable: content.header.durable,
        priority: content.header.priority,
        ttl: content.header.ttl,
      },
      scheduledFor: content.scheduledFor,
      annotations,
      bare,
    },
  };
}
