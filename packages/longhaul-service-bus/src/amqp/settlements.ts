/** What a client says of a message that it has, as the rules understand it. */
import type { Settlement } from '../entity/consumer.ts';
import { badArgument } from '../entity/errors.ts';

/** What the client's outcome asks for (SERVICE-BUS.md, 4.1). */
export function toSettlement(outcome: string, state: unknown): Settlement {
  const { error, undeliverable_here, message_annotations } = (state ?? {}) as {
    error?: { info?: Record<string, unknown> };
    undeliverable_here?: boolean;
    message_annotations?: Record<string, unknown>;
  };
  if (outcome === 'accepted') return { kind: 'complete' };
  if (outcome === 'released') return { kind: 'abandon' };
  if (outcome === 'modified')
    return {
      kind: undeliverable_here ? 'defer' : 'abandon',
      properties: simpleProperties(message_annotations),
    };
  const info = simpleProperties(error?.info);
  const { DeadLetterReason, DeadLetterErrorDescription, ...properties } = info;
  return {
    kind: 'deadLetter',
    reason: textOf(DeadLetterReason),
    description: textOf(DeadLetterErrorDescription),
    properties,
  };
}

/** What a client asks to be put among the application properties. @throws ServiceBusFault */
export function simpleProperties(given: unknown): Record<string, unknown> {
  if (given === undefined || given === null) return {};
  const isMap = typeof given === 'object' && !Array.isArray(given) && !Buffer.isBuffer(given);
  const isSimple = (value: unknown) =>
    value === null || typeof value !== 'object' || value instanceof Date || Buffer.isBuffer(value);
  if (!isMap || !Object.values(given).every(isSimple))
    throw badArgument('Properties to modify are names with simple values.');
  return given as Record<string, unknown>;
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
