/** How a fault of the rules is told on the wire. */
import type { Receiver } from 'rhea';
import { ZodError } from 'zod';
import { ServiceBusFault } from '../entity/errors.ts';
import { MalformedMessage } from './encoded.ts';
import type { ReceiverInternals, SenderInternals } from './rhea-internals.ts';

// The service's limit in the Standard tier; the SDKs size their batches by it.
export const standardMessageBytes = 262_144;

/** What is wrong with a description, in a line. */
export const wrongIn = ({ issues }: ZodError): string =>
  issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');

export function undecodable(cause: unknown): ServiceBusFault {
  const why = cause instanceof MalformedMessage ? cause.message : String(cause);
  const text = `This is no AMQP 1.0 message: ${why}`;
  return new ServiceBusFault('amqp:decode-error', text, { cause });
}

/** Attach with no terminus and detach with the error, in one write: the SDKs read the two together. */
export function refuse(link: SenderInternals | ReceiverInternals, fault: unknown): void {
  link.local.attach['source'] = null;
  link.local.attach['target'] = null;
  (link as unknown as Receiver).close(toAmqpError(fault));
}

/** An error as AMQP has it; clients of other makers look for all three fields. */
export interface AmqpError {
  condition: string;
  description: string;
  info: Record<string, never>;
}

export function toAmqpError(fault: unknown): AmqpError {
  const info = {};
  if (fault instanceof ServiceBusFault)
    return { condition: fault.condition, description: fault.message, info };
  if (fault instanceof ZodError)
    return { condition: 'com.microsoft:argument-error', description: wrongIn(fault), info };
  const text = fault instanceof Error ? fault.message : String(fault);
  return { condition: 'amqp:internal-error', description: text || 'The broker failed.', info };
}
