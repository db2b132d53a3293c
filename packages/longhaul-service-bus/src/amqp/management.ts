/** `$management` of a queue: the operations that are not transfers (SERVICE-BUS.md, 6). */
import rhea, { type Message as AmqpMessage } from 'rhea';
import type { Settlement } from '../entity/consumer.ts';
import { badArgument, ServiceBusFault } from '../entity/errors.ts';
import type { Message } from '../entity/message.ts';
import type { Queue } from '../entity/queue.ts';
import type { Claim } from '../entity/session.ts';
import type { Transaction } from '../entity/transaction.ts';
import { toAmqpError } from './faults.ts';
import { parse } from './incoming.ts';
import { formatMessage, withoutBody } from './message.ts';
import { toEnvelope } from './outgoing.ts';
import type { Answer } from './request-response.ts';
import { ruleOperations } from './rule-operations.ts';
import { simpleProperties } from './settlements.ts';
import { arrayOf, int, string, symbol, timestamp, tokenBytes, toNumber } from './types.ts';

type Body = Record<string, unknown>;

/** Who asks, of which queue. */
export interface Asked {
  queue: Queue;
  /** A subscription's rules are not the queue's to keep: whoever keeps them is told. */
  rulesChanged: () => void;
  /** Sessions that the asker holds. */
  claim: Claim;
  /** @throws ServiceBusFault */
  transaction: () => Transaction | undefined;
}

type Operation = (asked: Asked, body: Body) => Body | 'nothing' | undefined;

// What the service deletes at most with one call.
const mostDeleted = 4000;
// Of messages in one answer; their bytes are bounded too.
const mostAtOnce = 4096;
const mostDeferredBytes = 16 * 1024 * 1024;

// .NET's DateTime.MaxValue as its AMQP library writes it, by which the SDKs say that they mean no time.
const noTimeMs = 253_402_300_799_999;

const { types } = rhea;

const operations: Record<string, Operation> = {
  'com.microsoft:renew-lock': ({ queue }, body) => ({
    expirations: arrayOf(
      'timestamp',
      tokens(body).map((token) => queue.renewLock(token)),
    ),
  }),
  'com.microsoft:update-disposition': ({ queue, claim, transaction }, body) => {
    const sessionId = text(body['session-id']);
    if (sessionId !== undefined && queue.sessions) queue.sessions.heldBy(sessionId, claim);
    const settlement = settlementOf(body);
    const whole = transaction();
    for (const token of tokens(body))
      if (whole) whole.settle(queue, token, settlement);
      else queue.settle(token, settlement);
    return {};
  },
  'com.microsoft:schedule-message': ({ queue, transaction }, body) => {
    if (transaction())
      throw new ServiceBusFault(
        'amqp:not-implemented',
        'Messages cannot be scheduled in a transaction: send them in it with a time to enqueue at.',
      );
    const contents = listOf(body, 'messages').map((each) => {
      const { message } = (each ?? {}) as { message?: unknown };
      if (!Buffer.isBuffer(message)) throw badArgument('messages: each has its bytes as message.');
      return parse(message);
    });
    return { 'sequence-numbers': arrayOf('long', queue.enqueue(contents)) };
  },
  'com.microsoft:cancel-scheduled-message': ({ queue }, body) => {
    queue.cancelScheduled(numbersOf(body, 'sequence-numbers'));
    return {};
  },
  'com.microsoft:peek-message': ({ queue }, body) => {
    const from = numberOf(body, 'from-sequence-number', 0);
    const count = Math.min(numberOf(body, 'message-count', 1), mostAtOnce);
    const found = queue.peek(from, count, text(body['session-id']));
    if (found.length === 0) return 'nothing';
    const omitsBody = body['omit-message-body'] === true;
    return { messages: found.map((message) => entry(message, omitsBody)) };
  },
  'com.microsoft:batch-delete-messages': ({ queue }, body) => {
    const count = Math.min(numberOf(body, 'message-count', 0), mostDeleted);
    const before = numberOf(body, 'enqueued-time-utc', Number.POSITIVE_INFINITY);
    const deleted = queue.purge(count, before, text(body['session-id']));
    return deleted === 0 ? 'nothing' : { 'message-count': int(deleted) };
  },
  'com.microsoft:receive-by-sequence-number': ({ queue, claim }, body) => {
    const taken: Message[] = [];
    const settlesFirst = numberOf(body, 'receiver-settle-mode', 1) === 0;
    const sessionId = text(body['session-id']);
    const numbers = numbersOf(body, 'sequence-numbers');
    const bytes = numbers.map((n) => queue.stock.get(n)?.content.bare.length ?? 0);
    if (bytes.reduce((sum, size) => sum + size, 0) > mostDeferredBytes)
      throw new ServiceBusFault('com.microsoft:argument-out-of-range', 'Ask for fewer at once.');
    const session = queue.sessions?.heldBy(sessionId ?? '', claim);
    const consumer = { settlesFirst, room: () => 1, take: (it: Message) => taken.push(it) };
    queue.receiveDeferred(numbers, consumer, session);
    return { messages: taken.map((message) => entry(message)) };
  },
  'com.microsoft:renew-session-lock': ({ queue, claim }, body) => ({
    expiration: timestamp(sessionsOf(queue).renew(sessionOf(body), claim)),
  }),
  'com.microsoft:set-session-state': ({ queue, claim }, body) => {
    const state = body['session-state'];
    if (state !== null && state !== undefined && !Buffer.isBuffer(state))
      throw badArgument('session-state is bytes or nothing.');
    const copy = Buffer.isBuffer(state) ? Buffer.from(state) : undefined;
    sessionsOf(queue).setState(sessionOf(body), claim, copy);
    return {};
  },
  'com.microsoft:get-session-state': ({ queue, claim }, body) => ({
    'session-state': sessionsOf(queue).heldBy(sessionOf(body), claim).state ?? null,
  }),
  'com.microsoft:get-message-sessions': ({ queue }, body) => {
    const skip = numberOf(body, 'skip', 0);
    const top = Math.min(numberOf(body, 'top', 100), mostAtOnce);
    const since = numberOf(body, 'last-updated-time', noTimeMs);
    const ids = sessionsOf(queue).list(skip, top, since < noTimeMs ? since : undefined);
    if (ids.length === 0) return 'nothing';
    return { skip: int(skip + ids.length), 'sessions-ids': arrayOf('string', ids) };
  },
};

export async function answerManagement(request: AmqpMessage, asked: Asked): Promise<Answer> {
  const operation = String(request.application_properties?.['operation']);
  try {
    const run = operations[operation] ?? ruleOperations[operation];
    if (!run)
      throw new ServiceBusFault(
        'amqp:not-implemented',
        `The embedded Service Bus does not know the operation ${operation}.`,
      );
    const body = run(asked, bodyOf(request));
    await asked.queue.kept();
    return body === 'nothing' ? answered(204, 'No Content') : answered(200, 'OK', body);
  } catch (fault) {
    const { condition, description } = toAmqpError(fault);
    const { properties } = answered(statusOf[condition] ?? 500, description);
    return { properties: { ...properties, errorCondition: symbol(condition) } };
  }
}

const statusOf: Record<string, number> = {
  'com.microsoft:argument-error': 400,
  'com.microsoft:argument-out-of-range': 400,
  'com.microsoft:server-busy': 503,
  'amqp:transaction:unknown-id': 400,
  'com.microsoft:entity-already-exists': 409,
  'com.microsoft:entity-disabled': 403,
  'amqp:resource-limit-exceeded': 403,
  'com.microsoft:message-lock-lost': 410,
  'com.microsoft:session-lock-lost': 410,
  'com.microsoft:message-not-found': 404,
  'amqp:not-found': 404,
  'amqp:not-allowed': 400,
  'amqp:decode-error': 400,
  'amqp:not-implemented': 501,
};

const answered = (status: number, description: string, body?: Body): Answer => ({
  properties: { statusCode: int(status), statusDescription: string(description) },
  ...(body ? { body } : {}),
});

function entry(message: Message, omitsBody = false): Body {
  const envelope = toEnvelope(message);
  const { content: whole } = envelope;
  const token = message.lock && tokenBytes(message.lock.token);
  const shown = omitsBody ? { ...whole, bare: withoutBody(whole.bare) } : whole;
  const content = types.wrap_binary(
    formatMessage({ ...envelope, content: shown, lockToken: token }),
  );
  return { message: content, ...(token ? { 'lock-token': types.wrap_uuid(token) } : {}) };
}

function sessionsOf({ sessions, settings }: Queue) {
  if (sessions) return sessions;
  throw new ServiceBusFault('amqp:not-allowed', `The queue ${settings.name} has no sessions.`);
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** @throws ServiceBusFault */
function bodyOf({ body }: AmqpMessage): Body {
  if (body === null || body === undefined) return {};
  if (typeof body !== 'object' || Array.isArray(body) || Buffer.isBuffer(body))
    throw badArgument('The body of a request is a map.');
  return body as Body;
}

/** @throws ServiceBusFault */
function listOf(body: Body, name: string): unknown[] {
  const value = body[name];
  if (Array.isArray(value)) return value;
  throw badArgument(`${name} is missing or no list.`);
}

/** Not below zero. @throws ServiceBusFault */
function numberOf(body: Body, name: string, otherwise: number): number {
  const value = body[name];
  if (value === undefined || value === null) return otherwise;
  const number = toNumber(value);
  if (Number.isNaN(number)) throw badArgument(`${name} is no number.`);
  return Math.max(number, 0);
}

const numbersOf = (body: Body, name: string): number[] => listOf(body, name).map(toNumber);

function sessionOf(body: Body): string {
  const id = text(body['session-id']);
  if (id === undefined) throw badArgument('session-id is missing.');
  return id;
}

/** @throws ServiceBusFault */
function tokens(body: Body): string[] {
  const given = listOf(body, 'lock-tokens');
  if (given.length === 0) throw badArgument('lock-tokens names none.');
  return given.map((token) => {
    if (!Buffer.isBuffer(token) || token.length !== 16)
      throw badArgument('lock-tokens: each is a UUID.');
    return token.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  });
}

function settlementOf(body: Body): Settlement {
  const properties = simpleProperties(body['properties-to-modify']);
  const status = String(body['disposition-status']);
  switch (status) {
    case 'completed':
      return { kind: 'complete' };
    case 'abandoned':
      return { kind: 'abandon', properties };
    case 'defered':
      return { kind: 'defer', properties };
    case 'suspended':
      return {
        kind: 'deadLetter',
        reason: text(body['deadletter-reason']),
        description: text(body['deadletter-description']),
        properties,
      };
    default:
      throw badArgument(
        `disposition-status '${status}' is none of completed, abandoned, defered, suspended.`,
      );
  }
}
