import type { Content } from '../amqp/message.ts';
import type { Segment } from '../store/segments.ts';
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
  /** Where the store has it, and what has changed of it since: see `Segments`. */
  wholeIn?: Segment | undefined;
  changeIn?: Segment | undefined;
  content: Content;
  /** How long the bare message is, while its content is not read yet. */
  readonly bareBytes?: number | undefined;
}

export const bytesOf = (message: Message): number =>
  message.bareBytes ?? message.content.bare.length;

/** The store has not got it yet. */
export const isArriving = ({ wholeIn }: Message): boolean => wholeIn?.isStored === false;

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
