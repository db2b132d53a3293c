/** Messages from a client into a queue. */
import { randomUUID } from 'node:crypto';
import type { EventContext, Receiver } from 'rhea';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Queue } from '../entity/queue.ts';
import { toAmqpError } from './faults.ts';
import { type Content, MalformedMessage, messagesOfBatch, parseMessage } from './message.ts';
import { accepted, rawOf, rejected, update } from './rhea-internals.ts';

const batchFormat = 0x80013700;

export function receiveFromClient(receiver: Receiver, queue: Queue, maxMessageSize: number): void {
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    if (!delivery) return;
    accept(context, queue, maxMessageSize).then(
      () => update(delivery, accepted()),
      (fault) => update(delivery, rejected(toAmqpError(fault))),
    );
  });
}

async function accept(context: EventContext, queue: Queue, maxMessageSize: number): Promise<void> {
  const raw = rawOf(context);
  if (raw.length > maxMessageSize)
    throw new ServiceBusFault(
      'amqp:link:message-size-exceeded',
      `The received message (delivery-id:${context.delivery?.id}, size:${raw.length} bytes) exceeds the limit (${maxMessageSize} bytes) currently allowed on the link.`,
    );
  const { format } = context.delivery as unknown as { format: number | undefined };
  queue.enqueue((format === batchFormat ? messagesOfBatch(raw) : [raw]).map(parse));
  // Accepted means kept: the sender may forget the message now.
  await queue.kept();
}

export function parse(raw: Buffer): Content {
  try {
    return parseMessage(raw, () => randomUUID().replaceAll('-', ''));
  } catch (cause) {
    throw undecodable(cause);
  }
}

function undecodable(cause: unknown): ServiceBusFault {
  const why = cause instanceof MalformedMessage ? cause.message : String(cause);
  return new ServiceBusFault('amqp:decode-error', `This is no AMQP 1.0 message: ${why}`);
}
