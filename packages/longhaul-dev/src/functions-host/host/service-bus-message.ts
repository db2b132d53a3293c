/** A received message in the two forms in which a function may get it. */
import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { reorderGuid, tokenBytes } from 'longhaul-service-bus/internal/amqp/types';
import rhea from 'rhea';
import type { RpcModelBindingData, RpcTypedData } from '../worker/core-module.ts';

const { types } = rhea;

const text = (value: unknown): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value) ?? '');

/** Without SDK binding: the body, parsed by the library when it is JSON. */
export function toBody({ body }: ServiceBusReceivedMessage): RpcTypedData {
  if (!Buffer.isBuffer(body)) return { json: JSON.stringify(body ?? null) };
  const decoded = body.toString('utf8');
  return decoded.includes('\ufffd') ? { bytes: body } : { string: decoded };
}

export function toTriggerMetadata(
  message: ServiceBusReceivedMessage,
): Record<string, RpcTypedData> {
  const values: Record<string, unknown> = {
    MessageId: message.messageId,
    SessionId: message.sessionId,
    CorrelationId: message.correlationId,
    ContentType: message.contentType,
    ReplyTo: message.replyTo,
    Subject: message.subject,
    DeliveryCount: (message.deliveryCount ?? 0) + 1,
    EnqueuedTimeUtc: message.enqueuedTimeUtc,
    SequenceNumber: message.sequenceNumber?.toNumber(),
    ApplicationProperties: message.applicationProperties ?? {},
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, { json: JSON.stringify(value) }] as const],
    ),
  );
}

/**
 * With SDK binding: the lock token in .NET's byte order, then the AMQP message, whose delivery
 * annotations hold the token again; the Node extension finds the message by that annotation's name.
 */
export function toModelBindingData(message: ServiceBusReceivedMessage): RpcModelBindingData {
  const token = reorderGuid(tokenBytes(message.lockToken ?? ''));
  const raw = message._rawAmqpMessage;
  const encoded = rhea.message.encode({
    delivery_count: message.deliveryCount,
    ttl: message.timeToLive,
    delivery_annotations: { 'x-opt-lock-token': types.wrap_uuid(token) },
    message_annotations: {
      ...raw.messageAnnotations,
      'x-opt-enqueued-time': types.wrap_timestamp(message.enqueuedTimeUtc?.getTime() ?? 0),
      'x-opt-sequence-number': types.wrap_long(message.sequenceNumber?.toNumber() ?? 0),
    },
    message_id: message.messageId,
    to: message.to,
    subject: message.subject,
    reply_to: message.replyTo,
    correlation_id: message.correlationId,
    content_type: message.contentType,
    group_id: message.sessionId,
    reply_to_group_id: message.replyToSessionId,
    application_properties: message.applicationProperties,
    body: rhea.message.data_section(text(message.body)),
  } as unknown as Parameters<typeof rhea.message.encode>[0]);
  return {
    version: '1.0',
    source: 'AzureServiceBusReceivedMessage',
    contentType: 'application/octet-stream',
    content: Buffer.concat([token, encoded as unknown as Buffer]),
  };
}
