/** Sends what comes into a topic on to each subscription whose rules take it. */
import type { Content } from '../amqp/message.ts';
import { copyToDeadLetters } from './dead-letter.ts';
import type { Message } from './message.ts';
import { Onward } from './onward.ts';
import type { Queue } from './queue.ts';
import type { Rules } from './rules.ts';

export interface Subscriber {
  queue: Queue;
  rules: Pick<Rules, 'copies'>;
}

/** All rules are asked before anything is put anywhere: a fault of one is its subscription's alone. */
export const fanOut = (subscribers: () => Iterable<Subscriber>) =>
  new Onward((message) => {
    const taken = [...subscribers()].map(({ queue, rules }) => ({
      queue,
      copies: copiesOf(rules, message.content),
    }));
    for (const { queue, copies } of taken) {
      if (copies instanceof Error) tellOfFault(queue, message, copies);
      else for (const content of copies) admit(queue, content, message);
      queue.dispatch();
    }
  });

function copiesOf(rules: Pick<Rules, 'copies'>, content: Content): Content[] | Error {
  try {
    return rules.copies(content);
  } catch (fault) {
    return fault instanceof Error ? fault : new Error(String(fault));
  }
}

function admit(queue: Queue, content: Content, message: Message): void {
  // A subscription with sessions cannot take what has none; the others can.
  if (queue.settings.requiresSession && content.sessionId === undefined) return;
  // Each takes bytes of its own, as each may change them.
  queue.admit({ ...content }, { message, hops: message.hops ?? 0 });
}

function tellOfFault({ settings, deadLetters }: Queue, message: Message, fault: Error): void {
  if (!settings.deadLetterOnFaultyRule) return;
  copyToDeadLetters(deadLetters, settings.name, message, {
    reason: 'FilterEvaluationException',
    description: fault.message,
  });
  deadLetters?.dispatch();
}
