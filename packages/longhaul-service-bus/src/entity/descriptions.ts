/** Descriptions of entities as they are kept: complete, checked, in one form. */
import type { z } from 'zod';
import { badArgument } from './errors.ts';
import {
  type Described,
  queueDescription,
  subscriptionDescription,
  topicDescription,
} from './settings.ts';

export type Kind = 'queue' | 'topic' | 'subscription';

/** With all defaults, in ARM's names. */
export type Description = Partial<Described> & { name: string };

const schemas = {
  queue: queueDescription,
  topic: topicDescription,
  subscription: subscriptionDescription,
};

// So many partitions the Standard tier makes, each of the size asked for.
const partitions = 16;
// What is told of an entity of which nothing was asked, and so comes back with each update.
export const toldMessageKilobytes = 256;

/** @throws ServiceBusFault; ZodError */
export function describe(kind: Kind, given: object): Description {
  const parsed = schemas[kind].parse(given) as z.output<typeof queueDescription>;
  const described = Object.fromEntries(
    Object.entries(parsed).filter(
      ([name, value]) => value !== undefined && name !== 'subscriptions' && name !== 'rules',
    ),
  ) as Description;
  for (const name of ['forwardTo', 'forwardDeadLetteredMessagesTo'] as const)
    if (described[name] !== undefined) described[name] = canonicalAddress(described[name]);
  if (described.requiresSession && described.forwardTo !== undefined)
    throw badArgument(`SubCode=40000. '${described.name}' has sessions: it cannot forward.`);
  return described;
}

/** As an entity is made: of a partitioned one the size is that of all its partitions. */
export function describeNew(kind: Kind, given: object): Description {
  const described = describe(kind, given);
  if (!described.enablePartitioning || described.maxSizeInMegabytes === undefined) return described;
  return { ...described, maxSizeInMegabytes: described.maxSizeInMegabytes * partitions };
}

// What is fixed when an entity is made.
const fixed = ['requiresSession', 'requiresDuplicateDetection', 'enablePartitioning'] as const;

/** @throws ServiceBusFault; ZodError */
export function describeChanged(kind: Kind, before: Description, given: object): Description {
  const { maxMessageSizeInKilobytes: told, ...rest } = given as Partial<Described>;
  const isTold = told === undefined || told === toldMessageKilobytes;
  const next = describe(kind, {
    ...before,
    ...rest,
    ...(isTold ? {} : { maxMessageSizeInKilobytes: told }),
  });
  for (const name of fixed)
    if (next[name] !== before[name])
      throw badArgument(
        `SubCode=40000. ${name} of '${before.name}' cannot be changed once it is made.`,
      );
  return next;
}

/** Of an address scheme and host do not tell capitals apart; the path stays as it came. */
const canonicalAddress = (target: string) =>
  target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, (start) => start.toLowerCase());
