/**
 * A message as the Service Bus extension hands it to a function, settled by the function itself.
 *
 * The extension is a preview and the only way by which a Node function can dead-letter with a reason:
 * nothing outside this file knows it.
 */
import '@azure/functions-extensions-servicebus';
import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { LockLostError } from '../errors.ts';
import type { IncomingMessage } from '../model/message.ts';
import type { Delivery, SessionState } from '../ports.ts';

/** The same with `cardinality: 'many'`. */
export interface SdkBatch {
  messages: ServiceBusReceivedMessage[];
  actions: Pick<SdkBinding['actions'], 'complete' | 'releaseSession'>;
}

/** What a function with `sdkBinding: true` gets; the package's own types need its sources. */
export interface SdkBinding {
  /** From version 0.4.0 of the package on a list of one. */
  messages: ServiceBusReceivedMessage | [ServiceBusReceivedMessage];
  actions: {
    complete(message: ServiceBusReceivedMessage): Promise<void>;
    abandon(message: ServiceBusReceivedMessage): Promise<void>;
    deadletter(
      message: ServiceBusReceivedMessage,
      properties: Uint8Array | undefined,
      reason: { value: string },
      description: { value: string },
    ): Promise<void>;
    setSessionState(sessionId: string, state: Uint8Array): Promise<void>;
    releaseSession(sessionId: string): Promise<void>;
    /** The service has this call and version 0.2.0 no method for it: its client does. */
    client: {
      getSessionState(
        request: { sessionId: string },
        done: (error: Error | null, answer?: { sessionState?: Uint8Array }) => void,
      ): void;
    };
  };
}

/** `deliveries`: as the trigger's metadata say; the message that the package decodes has no count. */
export function toDelivery(queue: string, binding: SdkBinding, deliveries?: unknown): Delivery {
  const { actions } = binding;
  const message = messageOf(binding);
  return {
    message: {
      ...toIncoming(queue, message),
      ...(typeof deliveries === 'number' ? { deliveries } : {}),
    },
    complete: () => actions.complete(message),
    abandon: () => actions.abandon(message),
    // Version 0.2.0 hands both on as they are, and its protocol takes StringValue messages only: a
    // plain string, which its typings ask for, fails with "object expected".
    deadLetter: (reason, description) =>
      actions.deadletter(message, undefined, { value: reason }, { value: description }),
    ...(message.sessionId === undefined
      ? {}
      : { session: sessionOf(binding, message, message.sessionId) }),
  };
}

const messageOf = ({ messages }: SdkBinding): ServiceBusReceivedMessage =>
  Array.isArray(messages) ? messages[0] : messages;

/** Without the session's lock there is no state to read or write. @throws LockLostError */
function sessionOf(
  { actions }: SdkBinding,
  { messageId }: ServiceBusReceivedMessage,
  sessionId: string,
): SessionState {
  const lost = (cause: unknown) => new LockLostError(String(messageId), cause);
  return {
    get: () =>
      new Promise((resolve, reject) => {
        actions.client.getSessionState({ sessionId }, (error, answer) => {
          if (error) reject(lost(error));
          else resolve(answer?.sessionState && Buffer.from(answer.sessionState));
        });
      }),
    async set(state) {
      try {
        await actions.setSessionState(sessionId, state);
      } catch (error) {
        throw lost(error);
      }
    },
    release: () => actions.releaseSession(sessionId),
  };
}

export function toIncoming(queue: string, message: ServiceBusReceivedMessage): IncomingMessage {
  const { sessionId, contentType, correlationId, replyTo, replyToSessionId } = message;
  return {
    queue,
    messageId: message.messageId === undefined ? undefined : String(message.messageId),
    sessionId,
    contentType,
    correlationId: correlationId === undefined ? undefined : String(correlationId),
    replyTo,
    replyToSessionId,
    body: bodyBytes(message),
    sequence: message.enqueuedSequenceNumber
      ? String(message.enqueuedSequenceNumber)
      : message.sequenceNumber?.toString(),
    enqueuedAt: message.enqueuedTimeUtc,
    properties: plainOnly(message.applicationProperties),
  };
}

/** AMQP 1.0 (3.2.5) allows simple values only; a client may still send a map, which is nothing here. */
const plainOnly = (properties: Record<string, unknown> = {}) =>
  Object.fromEntries(
    Object.entries(properties).filter(
      ([, value]) =>
        ['string', 'number', 'bigint', 'boolean'].includes(typeof value) || value instanceof Date,
    ),
  );

/** The bytes as sent, whatever the SDK made of them; a body that was an AMQP value becomes JSON. */
function bodyBytes({ _rawAmqpMessage: raw, body }: ServiceBusReceivedMessage): Buffer {
  const section = raw?.body as { content?: unknown } | undefined;
  if (Buffer.isBuffer(section?.content)) return section.content;
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body ?? null));
}
