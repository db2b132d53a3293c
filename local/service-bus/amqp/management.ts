/** `$management` of a queue: the operations that are not transfers (SERVICE-BUS.md, 6). */
import rhea, { type Message as AmqpMessage } from 'rhea';
import type { Settlement } from '../entity/consumer.ts';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Message } from '../entity/message.ts';
import type { Queue } from '../entity/queue.ts';
import { toAmqpError } from './faults.ts';
import { parse } from './incoming.ts';
import { formatMessage, withoutBody } from './message.ts';
import { toEnvelope } from './outgoing.ts';
import type { Answer } from './request-response.ts';
import { ruleOperations } from './rule-operations.ts';
import { arrayOf, int, string, symbol, timestamp, tokenBytes, toNumber } from './types.ts';

type Body = Record<string, unknown>;
type Operation = (queue: Queue, body: Body) => Body | 'nothing' | undefined;

// What the service deletes at most with one call.
const mostDeleted = 4000;

const { types } = rhea;

const operations: Record<string, Operation> = {
  'com.microsoft:renew-lock': (queue, body) => ({
    expirations: arrayOf(
      'timestamp',
      tokens(body).map((token) => queue.renewLock(token)),
    ),
  }),
  'com.microsoft:update-disposition': (queue, body) => {
    for (const token of tokens(body)) queue.settle(token, settlementOf(body));
    return {};
  },
  'com.microsoft:schedule-message': (queue, body) => {
    const messages = list(body['messages']) as { message: Buffer }[];
    const sequences = queue.enqueue(messages.map(({ message }) => parse(message)));
    return { 'sequence-numbers': arrayOf('long', sequences) };
  },
  'com.microsoft:cancel-scheduled-message': (queue, body) => {
    queue.cancelScheduled(list(body['sequence-numbers']).map(toNumber));
    return {};
  },
  'com.microsoft:peek-message': (queue, body) => {
    const from = toNumber(body['from-sequence-number']);
    const count = Number(body['message-count']);
    const found = queue.peek(from, count, text(body['session-id']));
    if (found.length === 0) return 'nothing';
    const omitsBody = body['omit-message-body'] === true;
    return { messages: found.map((message) => entry(message, omitsBody)) };
  },
  'com.microsoft:batch-delete-messages': (queue, body) => {
    const before = body['enqueued-time-utc'];
    const count = Math.min(Number(body['message-count'] ?? 0), mostDeleted);
    const deleted = queue.purge(
      count,
      before === undefined || before === null ? Number.POSITIVE_INFINITY : Number(before),
      text(body['session-id']),
    );
    return deleted === 0 ? 'nothing' : { 'message-count': int(deleted) };
  },
  'com.microsoft:receive-by-sequence-number': (queue, body) => {
    const taken: Message[] = [];
    const settlesFirst = Number(body['receiver-settle-mode']) === 0;
    const sessionId = text(body['session-id']);
    queue.receiveDeferred(
      list(body['sequence-numbers']).map(toNumber),
      { settlesFirst, room: () => 1, take: (message) => taken.push(message) },
      sessionId === undefined ? undefined : sessionsOf(queue).heldBy(sessionId),
    );
    return { messages: taken.map((message) => entry(message)) };
  },
  'com.microsoft:renew-session-lock': (queue, body) => ({
    expiration: timestamp(sessionsOf(queue).renew(sessionOf(body))),
  }),
  'com.microsoft:set-session-state': (queue, body) => {
    const state = body['session-state'];
    sessionsOf(queue).setState(
      sessionOf(body),
      Buffer.isBuffer(state) ? Buffer.from(state) : undefined,
    );
    return {};
  },
  'com.microsoft:get-session-state': (queue, body) => ({
    'session-state': sessionsOf(queue).heldBy(sessionOf(body)).state ?? null,
  }),
  'com.microsoft:get-message-sessions': (queue, body) => {
    const skip = Number(body['skip'] ?? 0);
    const ids = sessionsOf(queue).list(skip, Number(body['top'] ?? 100));
    if (ids.length === 0) return 'nothing';
    return { skip: int(skip + ids.length), 'sessions-ids': ids };
  },
};

/** `rulesChanged` is told of a subscription's rules, which are not the queue's to keep. */
export async function answerManagement(
  queue: Queue,
  request: AmqpMessage,
  rulesChanged: () => void,
): Promise<Answer> {
  const operation = String(request.application_properties?.['operation']);
  try {
    const run = operations[operation] ?? ruleOperations(rulesChanged)[operation];
    if (!run)
      throw new ServiceBusFault(
        'amqp:not-implemented',
        `The embedded Service Bus does not know the operation ${operation}.`,
      );
    const body = run(queue, (request.body ?? {}) as Body);
    await queue.kept();
    return body === 'nothing' ? answered(204, 'No Content') : answered(200, 'OK', body);
  } catch (fault) {
    const { condition, description } = toAmqpError(fault);
    const { properties } = answered(statusOf[condition] ?? 500, description);
    return { properties: { ...properties, errorCondition: symbol(condition) } };
  }
}

const statusOf: Record<string, number> = {
  'com.microsoft:argument-error': 400,
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
  const shown = omitsBody ? { ...whole, bare: withoutBody(whole.bare) } : whole;
  const content = types.wrap_binary(formatMessage({ ...envelope, content: shown }));
  if (!message.lock) return { message: content };
  return { message: content, 'lock-token': types.wrap_uuid(tokenBytes(message.lock.token)) };
}

function sessionsOf({ sessions, settings }: Queue) {
  if (sessions) return sessions;
  throw new ServiceBusFault('amqp:not-allowed', `The queue ${settings.name} has no sessions.`);
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

function sessionOf(body: Body): string {
  const id = text(body['session-id']);
  if (id === undefined)
    throw new ServiceBusFault('com.microsoft:argument-error', 'session-id is missing.');
  return id;
}

function tokens(body: Body): string[] {
  return list(body['lock-tokens']).map((token) => {
    const hex = Buffer.from(token as Buffer).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  });
}

function settlementOf(body: Body): Settlement {
  const properties = (body['properties-to-modify'] ?? {}) as Record<string, unknown>;
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
      throw new ServiceBusFault(
        'com.microsoft:argument-error',
        `disposition-status '${status}' is none of completed, abandoned, defered, suspended.`,
      );
  }
}
