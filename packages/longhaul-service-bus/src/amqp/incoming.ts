/** Messages from a client into a queue. */
import { randomUUID } from 'node:crypto';
import type { EventContext, Receiver } from 'rhea';
import type { Queue } from '../entity/queue.ts';
import type { Guard } from '../guarded.ts';
import { type Coordinator, provisionally } from './coordinator.ts';
import { toAmqpError, undecodable } from './faults.ts';
import { type Content, messagesOfBatch, parseMessage } from './message.ts';
import { accepted, rejected, takeWhole, transactionIdOf, update } from './rhea-internals.ts';

const batchFormat = 0x80013700;

export interface Incoming {
  receiver: Receiver;
  queue: Queue;
  mostBytes: number;
  guard: Guard;
  transactions: Coordinator;
}

export function receiveFromClient(incoming: Incoming): void {
  const answer = incoming.guard(update);
  const { receiver } = incoming;
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    if (!delivery) return;
    accept(context, incoming).then(
      (state) => answer(delivery, state),
      (fault) => answer(delivery, rejected(toAmqpError(fault))),
    );
  });
}

async function accept(context: EventContext, incoming: Incoming): Promise<unknown> {
  const { queue, mostBytes, transactions } = incoming;
  const transaction = transactions.of(context.delivery);
  const contents = contentsOf(context, mostBytes);
  if (transaction) {
    transaction.send(queue, contents);
    return provisionally(transactionIdOf(context.delivery) ?? '', accepted());
  }
  queue.enqueue(contents);
  // Accepted means kept: the sender may forget the message now.
  await queue.kept();
  return accepted();
}

/** One message, or those of a batch. @throws ServiceBusFault */
function contentsOf(context: EventContext, mostBytes: number): Content[] {
  const raw = takeWhole(context, mostBytes);
  const { format } = context.delivery as unknown as { format: number | undefined };
  return (format === batchFormat ? decoded(messagesOfBatch, raw) : [raw]).map(parse);
}

/** @throws ServiceBusFault */
export const parse = (raw: Buffer): Content =>
  decoded((bytes) => parseMessage(bytes, () => randomUUID().replaceAll('-', '')), raw);

function decoded<T>(read: (raw: Buffer) => T, raw: Buffer): T {
  try {
    return read(raw);
  } catch (cause) {
    throw undecodable(cause);
  }
}
