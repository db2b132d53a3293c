/**
 * A message while its function runs, where the SDK (7.9.5) does otherwise than the host's .NET processor.
 */
import type { EventEmitter } from 'node:events';
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import { within } from '../within.ts';

interface Link {
  is_open(): boolean;
  connection: EventEmitter;
}

/** How a message is settled and its lock renewed, for as long as its function runs. */
export interface Held {
  message: ServiceBusReceivedMessage;
  receiver: ServiceBusReceiver;
  /** Of a connection that has no links of its own: it settles by the lock's token. */
  byToken: ServiceBusReceiver;
}

export type Settle = (
  receiver: ServiceBusReceiver,
  message: ServiceBusReceivedMessage,
) => Promise<unknown>;

/**
 * Once a receiver has made a new link the SDK still finds it by the name of the link before: it answers
 * on the dead one, and waits four times a minute for nothing; so it does when the link dies before the
 * answer is confirmed. A message without a link is settled by its lock's token.
 *
 * That takes a management link. If the connection breaks while one is opened, the SDK makes a new
 * connection only once that was given up, after a minute, and until then nothing is received: so these
 * have a connection to themselves.
 */
export async function settle({ message, receiver, byToken }: Held, act: Settle): Promise<void> {
  const { delivery } = message as { delivery?: { link?: Link | undefined } };
  const again = () => {
    // A session's lock went with its link, and the SDK knows it.
    if (message.sessionId !== undefined) return inTime(act(receiver, message));
    if (delivery) delivery.link = undefined;
    return inTime(act(byToken, message));
  };
  const link = delivery?.link;
  if (!link?.is_open()) return void (await again());
  const { promise: gone, end } = disconnected(link.connection);
  // A link whose session was lost while the broker stood still is open and never answers.
  const acted = inTime(act(receiver, message));
  const first = await Promise.race([acted.then(() => 'settled'), gone]).finally(end);
  if (first === 'settled') return;
  acted.catch(() => undefined);
  await again();
}

function disconnected(connection: EventEmitter): { promise: Promise<void>; end(): void } {
  let onGone = () => {};
  const promise = new Promise<void>((resolve) => {
    onGone = resolve;
    connection.once('disconnected', onGone);
  });
  return { promise, end: () => void connection.off('disconnected', onGone) };
}

// A request over the management link that was under way when the connection broke is given up by the SDK
// after a minute: so long no other message would be taken in its place.
const answerWithinMs = 10_000;

export async function inTime<T>(work: Promise<T>): Promise<T> {
  const answered = await within(
    answerWithinMs,
    work.then((answer) => ({ answer })),
  );
  if (!answered) throw new Error('Service Bus did not answer in time.');
  return answered.answer;
}

// As `ReceiverManager` of the .NET processor does.
const mostAheadMs = 10_000;
const leastMs = 500;

/**
 * Renews the lock until the function has ended. The SDK's own renewal goes on for hours when nobody
 * settled the message, and after a new link even when somebody did: nobody else would get it.
 */
export function keepLocked(
  { message, byToken }: Pick<Held, 'message' | 'byToken'>,
  { mostMs, onError }: { mostMs: number; onError(error: Error): void },
): () => void {
  const end = Date.now() + mostMs;
  let timer: NodeJS.Timeout | undefined;
  let hasEnded = false;
  const plan = () => {
    const leftMs = (message.lockedUntilUtc?.getTime() ?? 0) - Date.now();
    timer = setTimeout(() => void renew(), Math.max(leftMs - mostAheadMs, leftMs / 2, leastMs));
  };
  const renew = async () => {
    try {
      message.lockedUntilUtc = await byToken.renewMessageLock(message);
    } catch (error) {
      if (!hasEnded) onError(error as Error);
      if (!(error as { retryable?: boolean }).retryable) return;
    }
    if (!hasEnded && Date.now() < end) plan();
  };
  plan();
  return () => {
    hasEnded = true;
    clearTimeout(timer);
  };
}
