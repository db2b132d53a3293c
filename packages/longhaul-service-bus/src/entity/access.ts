/** Who may do what with an entity, by what it is and what its status says. */
import type { Content } from '../amqp/message.ts';
import { entityDisabled, ServiceBusFault, sessionIdMissing } from './errors.ts';
import type { QueueSettings } from './settings.ts';

/** `bytes` are those that the entity has already, in all its parts. @throws ServiceBusFault */
export function checkSend(
  { name, role, status, requiresSession, maxBytes }: QueueSettings,
  contents: readonly Content[],
  bytes: number,
): void {
  if (role === 'subscription' || role === 'deadLetters')
    throw new ServiceBusFault('amqp:not-allowed', `Nothing can be sent to ${name} itself.`);
  if (status === 'Disabled' || status === 'SendDisabled') throw entityDisabled(name, status);
  if (requiresSession && contents.some(({ sessionId }) => sessionId === undefined))
    throw sessionIdMissing(name);
  if (contents.reduce((sum, { bare }) => sum + bare.length, bytes) > maxBytes)
    throw new ServiceBusFault(
      'amqp:resource-limit-exceeded',
      `The maximum entity size of ${name} has been reached or exceeded: ${maxBytes} bytes.`,
    );
}

/** @throws ServiceBusFault */
export function checkReceive(
  { name, role, status }: QueueSettings,
  { forwards }: { forwards: boolean },
): void {
  if (role === 'topic')
    throw new ServiceBusFault('amqp:not-allowed', `Receive from a subscription of ${name}.`);
  if (status === 'Disabled' || status === 'ReceiveDisabled') throw entityDisabled(name, status);
  if (forwards)
    throw new ServiceBusFault('amqp:not-allowed', `${name} forwards its messages: receive there.`);
}
