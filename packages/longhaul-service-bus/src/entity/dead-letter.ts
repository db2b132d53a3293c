/** Messages that go among the dead letters, with why in their application properties. */
import { type Content, withApplicationProperties } from '../amqp/message.ts';
import { ServiceBusFault } from './errors.ts';
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';

export interface Reason {
  reason?: string | undefined;
  description?: string | undefined;
}

export const expired: Reason = {
  reason: 'TTLExpiredException',
  description: 'The message expired and was dead lettered.',
};

export const deliveredTooOften = (times: number): Reason => ({
  reason: 'MaxDeliveryCountExceeded',
  description: `Message could not be consumed after ${times} delivery attempts.`,
});

/**
 * Puts a copy among the dead letters of `source`; the caller removes the message, in the same group of
 * the journal: it is in one of the two queues, never in none.
 *
 * @throws ServiceBusFault in a dead-letter queue, which has none of its own
 */
export function copyToDeadLetters(
  deadLetters: Queue | undefined,
  source: string,
  message: Message,
  { reason, description }: Reason,
  properties: Record<string, unknown> = {},
): void {
  if (!deadLetters)
    throw new ServiceBusFault(
      'amqp:not-allowed',
      'A message of a dead-letter queue cannot be dead-lettered: complete or abandon it.',
    );
  const why = { DeadLetterReason: reason, DeadLetterErrorDescription: description };
  const bare = withApplicationProperties(message.content.bare, { ...properties, ...why });
  deadLetters.admit({ ...message.content, bare }, { message, deadLetterSource: source });
}

/** Keeps what could not be forwarded, with why. */
export function keepUndeliverable(transfer: Queue, content: Content, message: Message, why: Error) {
  const bare = withApplicationProperties(content.bare, {
    DeadLetterReason: 'ForwardingFailed',
    DeadLetterErrorDescription: why.message,
  });
  transfer.admit({ ...content, bare }, { message, deadLetterSource: transfer.settings.name });
  transfer.dispatch();
}
