/** Messages as the list writes them, and as rhea does. */
import assert from 'node:assert/strict';
import rhea, { type Message } from 'rhea';
import type { Seen, Sent } from '../steps.ts';

export function made(of: Sent): Message {
  const message: Record<string, unknown> = {
    body: bodyOf(of),
    message_id: of.id,
    group_id: of.session,
    subject: of.subject,
    correlation_id: of.correlationId,
    application_properties: of.properties,
    ttl: of.ttlMs,
  };
  for (const name of Object.keys(message)) if (message[name] === undefined) delete message[name];
  return message as unknown as Message;
}

function bodyOf({ value, sequence, body = '' }: Sent): unknown {
  if (value !== undefined) return value;
  if (sequence) return rhea.message.sequence_section(sequence);
  return rhea.message.data_section(Buffer.from(body));
}

const code = { data: 0x75, sequence: 0x76 } as const;

function found(message: Message, name: keyof Seen): unknown {
  const { body, application_properties: properties = {} } = message;
  const section = body as { typecode?: number; content?: unknown } | undefined;
  switch (name) {
    case 'body':
      return section?.typecode === code.data ? String(section.content) : '';
    case 'sequence':
      return section?.typecode === code.sequence ? section.content : undefined;
    case 'value':
      return body;
    case 'id':
      return message.message_id;
    case 'session':
      return message.group_id;
    case 'subject':
      return message.subject;
    case 'correlationId':
      return message.correlation_id;
    case 'deliveries':
      return message.delivery_count ?? 0;
    case 'reason':
      return properties['DeadLetterReason'];
    case 'description':
      return properties['DeadLetterErrorDescription'];
    case 'properties':
      return properties;
  }
}

export function check(messages: readonly Message[], expected: readonly Seen[] = []): void {
  for (const [n, wanted] of expected.entries()) {
    const message = messages[n];
    assert.ok(message, `there is no message ${n + 1}`);
    for (const name of Object.keys(wanted) as (keyof Seen)[]) {
      if (name !== 'properties') {
        assert.deepEqual(found(message, name), wanted[name], name);
        continue;
      }
      const properties = found(message, name) as Record<string, unknown>;
      for (const [key, value] of Object.entries(wanted.properties ?? {}))
        assert.equal(properties[key], value, key);
    }
  }
}

export const numberOf = (message: Message): number =>
  Number((message.message_annotations as Record<string, unknown>)['x-opt-sequence-number']);

export const lockedUntil = (message: Message): number =>
  Number((message.message_annotations as Record<string, unknown>)['x-opt-locked-until']);
