/** Looking at messages without taking them. */
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';

type Browsed = Pick<Queue, 'stock' | 'sessions'>;

/** Of one session by its index, if there are sessions; null when there is no such session. */
function sessionOf({ sessions }: Browsed, id: string | undefined): Session | undefined | null {
  if (id === undefined || !sessions) return undefined;
  return sessions.find(id) ?? null;
}

/** In any state, but for what has expired: the service removes that at leisure, unless it is deferred. */
export function peek(
  queue: Browsed,
  from: number,
  count: number,
  sessionId: string | undefined,
  now: number,
  mostBytes: number,
): Message[] {
  const session = sessionOf(queue, sessionId);
  const peeked: Message[] = [];
  let bytes = 0;
  if (session === null) return peeked;
  for (const message of queue.stock.from(from, session)) {
    if (peeked.length >= count || bytes >= mostBytes) break;
    const isOfSession = sessionId === undefined || message.content.sessionId === sessionId;
    const isExpired = message.state !== 'deferred' && (message.expiresAt ?? now + 1) <= now;
    if (isExpired || !isOfSession) continue;
    bytes += message.content.bare.length;
    // One there always is, or nobody got past it.
    if (bytes <= mostBytes || peeked.length === 0) peeked.push(message);
  }
  return peeked;
}

/** The oldest that wait unlocked, enqueued before a time. */
export function waiting(
  queue: Browsed,
  count: number,
  before: number,
  sessionId: string | undefined,
): Message[] {
  const session = sessionOf(queue, sessionId);
  const chosen: Message[] = [];
  if (session === null) return chosen;
  for (const message of queue.stock.from(0, session)) {
    if (chosen.length >= count) break;
    if (message.state === 'active' && !message.lock && message.enqueuedAt <= before)
      chosen.push(message);
  }
  return chosen;
}
