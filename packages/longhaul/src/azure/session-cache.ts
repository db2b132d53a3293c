/**
 * Which delivery under way the Service Bus extension means by a session's id.
 *
 * It keeps what a function may do with its session by the id alone, whatever the queue (5.17,
 * `SessionActionsCache`): of two calls with one id the first one's session answers both, and the end of
 * either takes it away. Followed here, so that no job reads, writes or releases the session of another
 * queue: it has lost its own then, and comes again. Where each queue has processes of its own, as on
 * Flex Consumption, ids never meet.
 */
import { LockLostError } from '../errors.ts';
import type { Delivery, SessionState } from '../ports.ts';

export class SessionCache {
  readonly #calls = new Map<string, symbol>();

  async during(delivery: Delivery, act: (delivery: Delivery) => Promise<void>): Promise<void> {
    const { session, message } = delivery;
    const { sessionId } = message;
    if (!session || sessionId === undefined) return act(delivery);
    const call = Symbol(sessionId);
    if (!this.#calls.has(sessionId)) this.#calls.set(sessionId, call);
    const isOwn = () => this.#calls.get(sessionId) === call;
    try {
      await act({ ...delivery, session: onlyWhile(isOwn, session, `${message.messageId}`) });
    } finally {
      this.#calls.delete(sessionId);
    }
  }
}

function onlyWhile(isOwn: () => boolean, session: SessionState, id: string): SessionState {
  const check = () => {
    if (isOwn()) return;
    const cause = new Error('A job of another queue has the session of that id in this process.');
    throw new LockLostError(id, cause);
  };
  return {
    async get() {
      check();
      return session.get();
    },
    async set(state) {
      check();
      await session.set(state);
    },
    async release() {
      check();
      await session.release();
    },
  };
}
