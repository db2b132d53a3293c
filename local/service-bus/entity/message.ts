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
  content: Content;
}

/** A receiver's claim on one message. In a session the session's lock is what counts. */
export interface Lock {
  /** RFC 9562 form, lower case. */
  token: string;
  until: number;
  sessionId?: string | undefined;
}

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
