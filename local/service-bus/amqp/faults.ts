/** How a fault of the rules is told on the wire. */
import type { Receiver } from 'rhea';
import { ServiceBusFault } from '../entity/errors.ts';
import type { ReceiverInternals, SenderInternals } from './rhea-internals.ts';

// The service's limit in the Standard tier; the SDKs size their batches by it.
export const standardMessageBytes = 262_144;

/** Attach with no terminus and detach with the error, in one write: the SDKs read the two together. */
export function refuse(link: SenderInternals | ReceiverInternals, fault: unknown): void {
  const { condition, description } = toAmqpError(fault);
  link.local.attach['source'] = null;
  link.local.attach['target'] = null;
  (link as unknown as Receiver).close({ condition, description });
}

export function toAmqpError(fault: unknown): { condition: string; description: string } {
  if (fault instanceof ServiceBusFault)
    return { condition: fault.condition, description: fault.message };
  const text = fault instanceof Error ? fault.message : String(fault);
  return { condition: 'amqp:internal-error', description: text || 'The broker failed.' };
}
