/** Forwards what comes into a queue, or its dead letters, to another entity. */
import { keepUndeliverable } from './dead-letter.ts';
import { ServiceBusFault } from './errors.ts';
import { Onward } from './onward.ts';
import type { Queue } from './queue.ts';

// The service's own: a fifth hop is refused (Learn: chaining entities with autoforwarding).
const mostHops = 4;

/** `find` looks up the target each time: it may be made after the queue, or again. */
export const forwardTo = (
  name: string,
  find: (name: string) => Queue | undefined,
  undeliverable: Queue,
) =>
  new Onward((message) => {
    const hops = (message.hops ?? 0) + 1;
    const target = find(name);
    const content = { ...message.content, scheduledFor: undefined };
    try {
      if (!target) throw new ServiceBusFault('amqp:not-found', `There is no entity ${name}.`);
      if (hops > mostHops)
        throw new ServiceBusFault('amqp:not-allowed', `More than ${mostHops} hops.`);
      target.checkSend([content]);
      target.admit(content, { message, hops, deadLetterSource: message.deadLetterSource });
      target.dispatch();
    } catch (fault) {
      keepUndeliverable(undeliverable, content, message, fault as Error);
    }
  });
