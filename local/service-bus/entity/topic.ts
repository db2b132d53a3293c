/** Sends what comes into a topic on to each subscription whose rules take it. */
import { Onward } from './onward.ts';
import type { Queue } from './queue.ts';
import type { Rules } from './rules.ts';

export interface Subscriber {
  queue: Queue;
  rules: Rules;
}

export const fanOut = (subscribers: () => Iterable<Subscriber>) =>
  new Onward((message) => {
    for (const { queue, rules } of subscribers())
      for (const content of rules.copies(message.content)) {
        // A subscription with sessions cannot take what has none; the others can.
        if (queue.settings.requiresSession && content.sessionId === undefined) continue;
        // Each takes bytes of its own, as each may change them.
        queue.admit({ ...content }, { message, hops: message.hops ?? 0 });
        queue.dispatch();
      }
  });
