/** A broker in memory, as the rules see one: duplicates dropped, locks that can be lost. */
import type { IncomingMessage, OutgoingMessage } from '../../../functions/model/message.ts';

interface Lying {
  message: OutgoingMessage;
  visibleAt: number;
  locked: boolean;
}

// The queues' duplicateDetectionHistoryTimeWindow.
const rememberedMs = 3_600_000;

export class Bus {
  readonly #queues = new Map<string, Lying[]>();
  readonly #seen = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  send(message: OutgoingMessage): void {
    const name = `${message.queue} ${message.messageId}`;
    const seen = this.#seen.get(name);
    if (seen !== undefined && seen + rememberedMs > this.#now()) return;
    this.#seen.set(name, this.#now());
    const queue = this.#queues.get(message.queue) ?? [];
    this.#queues.set(message.queue, queue);
    queue.push({ message, visibleAt: message.at?.getTime() ?? 0, locked: false });
  }

  /** What can be taken now: single messages, or all that a session of `batched` has. */
  ready(batched: string): Lying[][] {
    const now = this.#now();
    return [...this.#queues].flatMap(([name, lying]) => {
      if (name === 'replies') return [];
      const visible = lying.filter(({ visibleAt, locked }) => visibleAt <= now && !locked);
      if (name !== batched) return visible.map((one) => [one]);
      const sessions = new Map<string, Lying[]>();
      for (const one of visible) {
        const session = one.message.sessionId ?? '';
        // A session has one receiver.
        if (lying.some((other) => other.locked && other.message.sessionId === session)) continue;
        sessions.set(session, [...(sessions.get(session) ?? []), one]);
      }
      return [...sessions.values()];
    });
  }

  all(queue: string): OutgoingMessage[] {
    return (this.#queues.get(queue) ?? []).map(({ message }) => message);
  }

  nextVisibleAt(): number | undefined {
    const times = [...this.#queues.values()].flat().map(({ visibleAt }) => visibleAt);
    const later = times.filter((time) => time > this.#now());
    return later.length > 0 ? Math.min(...later) : undefined;
  }

  remove(one: Lying): void {
    const queue = this.#queues.get(one.message.queue) ?? [];
    const at = queue.indexOf(one);
    if (at >= 0) queue.splice(at, 1);
  }
}

export type { Lying };

export const toIncoming = ({ message }: Lying): IncomingMessage => ({
  ...message,
  body: Buffer.from(message.body),
});
