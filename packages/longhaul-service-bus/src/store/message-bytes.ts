/**
 * A message in the store: what is known of it, and its bytes unless only the former has changed. Binary,
 * as a start reads a million of them. Both functions name the same values in the same order.
 */
import type { Content, Header } from '../amqp/message.ts';
import type { Lock, Message } from '../entity/message.ts';
import { Reader, type Writer } from './binary.ts';
import type { Segment } from './segments.ts';

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
export const readMessage = (from: Reader, sequence: number, bare?: Buffer): Message =>
  new StoredMessage(from, sequence, bare);

const readContent = (from: Reader, bare?: Buffer): Content => ({
  messageId: from.text() ?? '',
  sessionId: from.text(),
  header: headerOf(from.byte() === 1, from.optional(), from.optional()),
  scheduledFor: from.optional(),
  annotations: annotationsOf(from),
  bare: bare ?? from.bytes(),
});

/** Of the content of one that was written whole nothing is read until somebody asks for it. */
class StoredMessage implements Message {
  sequence: number;
  enqueuedSequence: number;
  enqueuedAt: number;
  expiresAt: number | undefined;
  state: Message['state'];
  deliveryCount: number;
  lock: Lock | undefined;
  deadLetterSource: string | undefined;
  hops: number | undefined;
  wasScheduled: boolean;
  wholeIn: Segment | undefined;
  changeIn: Segment | undefined;
  #bareBytes: number;
  #content: Content | Reader;
  #contentAt: number;

  constructor(from: Reader, sequence: number, bare?: Buffer) {
    this.sequence = sequence;
    this.enqueuedSequence = from.number();
    this.enqueuedAt = from.number();
    this.expiresAt = from.optional();
    this.state = stateOf(from.byte());
    this.deliveryCount = from.number();
    this.lock = lockOf(from.text(), from.number(), from.text());
    this.deadLetterSource = from.text();
    this.hops = from.optional();
    this.wasScheduled = from.byte() === 1;
    this.wholeIn = undefined;
    this.changeIn = undefined;
    this.#contentAt = from.at;
    this.#content = bare ? readContent(from, bare) : from;
    this.#bareBytes = bare?.length ?? skipContent(from);
  }

  get bareBytes(): number | undefined {
    return this.#content instanceof Reader ? this.#bareBytes : undefined;
  }

  get content(): Content {
    if (this.#content instanceof Reader)
      this.#content = readContent(this.#content.from(this.#contentAt));
    return this.#content;
  }

  set content(content: Content) {
    this.#content = content;
  }
}

/** Answers how many bytes the last of it has. */
function skipContent(from: Reader): number {
  from.skip();
  from.skip();
  from.byte();
  for (let n = 0; n < 3; n++) from.number();
  const annotations = from.number();
  for (let n = 0; n < annotations; n++) from.skip();
  return from.skip();
}

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
