/**
 * A message in the store: what is known of it, and its bytes unless only the former has changed. Binary,
 * as a start reads a million of them. Both functions name the same values in the same order.
 */
import type { Header } from '../amqp/message.ts';
import type { Lock, Message } from '../entity/message.ts';
import type { Reader, Writer } from './binary.ts';

const states = ['active', 'deferred', 'scheduled'] as const;

/** Whoever reads takes the sequence number first, then whether it is whole. */
export function writeMessage(to: Writer, message: Message, { whole }: { whole: boolean }): void {
  const { lock, content } = message;
  to.number(message.sequence);
  to.byte(whole ? 1 : 0);
  to.number(message.enqueuedSequence);
  to.number(message.enqueuedAt);
  to.number(message.expiresAt);
  to.byte(states.indexOf(message.state));
  to.number(message.deliveryCount);
  to.text(lock?.token);
  to.number(lock?.until);
  to.text(lock?.sessionId);
  to.text(message.deadLetterSource);
  to.number(message.hops);
  to.byte(message.wasScheduled ? 1 : 0);
  to.text(content.messageId);
  to.text(content.sessionId);
  to.byte(content.header.durable ? 1 : 0);
  to.number(content.header.priority);
  to.number(content.header.ttl);
  to.number(content.scheduledFor);
  to.number(content.annotations.length);
  for (const pair of content.annotations) to.bytes(pair);
  if (whole) to.bytes(content.bare);
}

/** With these bytes, if it was not written whole. @throws RangeError when it is damaged */
export const readMessage = (from: Reader, sequence: number, bare?: Buffer): Message => ({
  sequence,
  enqueuedSequence: from.number(),
  enqueuedAt: from.number(),
  expiresAt: from.optional(),
  state: stateOf(from.byte()),
  deliveryCount: from.number(),
  lock: lockOf(from.text(), from.number(), from.text()),
  deadLetterSource: from.text(),
  hops: from.optional(),
  wasScheduled: from.byte() === 1,
  content: {
    messageId: from.text() ?? '',
    sessionId: from.text(),
    header: headerOf(from.byte() === 1, from.optional(), from.optional()),
    scheduledFor: from.optional(),
    annotations: annotationsOf(from),
    bare: bare ?? from.bytes(),
  },
});

// Most messages have neither; a million of them share these.
const plain: Header = { durable: false, priority: undefined, ttl: undefined };
const none: readonly Buffer[] = [];

const headerOf = (
  durable: boolean,
  priority: number | undefined,
  ttl: number | undefined,
): Header =>
  durable || priority !== undefined || ttl !== undefined ? { durable, priority, ttl } : plain;

function annotationsOf(from: Reader): readonly Buffer[] {
  const length = from.number();
  return length === 0 ? none : Array.from({ length }, () => from.bytes());
}

function stateOf(at: number): Message['state'] {
  const state = states[at];
  if (!state) throw new RangeError(`A message has no state ${at}.`);
  return state;
}

const lockOf = (
  token: string | undefined,
  until: number,
  sessionId: string | undefined,
): Lock | undefined => (token === undefined ? undefined : { token, until, ends: 0, sessionId });
