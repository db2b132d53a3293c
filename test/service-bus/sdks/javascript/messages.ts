/** Messages as the list writes them, and as the JavaScript SDK does. */
import assert from 'node:assert/strict';
import type { ServiceBusMessage, ServiceBusReceivedMessage } from '@azure/service-bus';
import type { Seen, Sent } from '../steps.ts';

type Annotated = ServiceBusReceivedMessage['_rawAmqpMessage'];

export function made(of: Sent): ServiceBusMessage | Annotated {
  const { value, sequence, body = '' } = of;
  if (value !== undefined) return { body: value, bodyType: 'value' };
  if (sequence) return { body: sequence, bodyType: 'sequence' };
  return {
    body: Buffer.from(body),
    ...(of.id === undefined ? {} : { messageId: of.id }),
    ...(of.session === undefined ? {} : { sessionId: of.session }),
    ...(of.subject === undefined ? {} : { subject: of.subject }),
    ...(of.correlationId === undefined ? {} : { correlationId: of.correlationId }),
    ...(of.properties === undefined ? {} : { applicationProperties: of.properties }),
    ...(of.ttlMs === undefined ? {} : { timeToLive: of.ttlMs }),
  };
}

function found(message: ServiceBusReceivedMessage, name: keyof Seen): unknown {
  const { bodyType } = message._rawAmqpMessage;
  switch (name) {
    case 'body':
      return bodyType === 'data' ? String(message.body ?? '') : undefined;
    case 'value':
      return bodyType === 'value' ? message.body : undefined;
    case 'sequence':
      return bodyType === 'sequence' ? message.body : undefined;
    case 'id':
      return message.messageId;
    case 'session':
      return message.sessionId;
    case 'subject':
      return message.subject;
    case 'correlationId':
      return message.correlationId;
    case 'deliveries':
      return message.deliveryCount ?? 0;
    case 'reason':
      return message.deadLetterReason;
    case 'description':
      return message.deadLetterErrorDescription;
    case 'properties':
      return message.applicationProperties ?? {};
  }
}

export function check(
  messages: readonly ServiceBusReceivedMessage[],
  expected: readonly Seen[] = [],
): void {
  for (const [n, wanted] of expected.entries()) {
    const message = messages[n];
    assert.ok(message, `there is no message ${n + 1}`);
    const { properties, ...fields } = wanted;
    for (const name of Object.keys(fields) as (keyof Seen)[])
      assert.deepEqual(found(message, name), wanted[name], name);
    for (const [key, value] of Object.entries(properties ?? {}))
      assert.equal(message.applicationProperties?.[key], value, key);
  }
}
