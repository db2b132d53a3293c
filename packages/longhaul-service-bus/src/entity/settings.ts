/**
 * What an entity is to be like, in the names of the ARM resources Microsoft.ServiceBus/namespaces/queues,
 * /topics, /topics/subscriptions and …/rules: those of `topology.json`, of Bicep and, in capitals, of
 * the HTTP administration.
 */
import { z } from 'zod';

const duration = z
  .string()
  .refine((text) => durationMs(text) !== undefined, 'is no ISO 8601 duration of days to seconds');

const status = z.enum(['Active', 'Disabled', 'SendDisabled', 'ReceiveDisabled']).default('Active');

const ofEntity = {
  name: z.string().min(1).max(260),
  status,
  userMetadata: z.string().max(1024).optional(),
  autoDeleteOnIdle: duration.optional(),
  enableBatchedOperations: z.boolean().default(true),
  defaultMessageTimeToLive: duration.optional(),
};

const ofSender = {
  requiresDuplicateDetection: z.boolean().default(false),
  duplicateDetectionHistoryTimeWindow: duration.default('PT10M'),
  maxSizeInMegabytes: z.int().min(1).default(1024),
  maxMessageSizeInKilobytes: z.int().min(1024).max(102_400).optional(),
  enablePartitioning: z.boolean().default(false),
  enableExpress: z.boolean().default(false),
  /** As the HTTP administration was given them; nothing is checked by them. */
  authorizationRules: z.unknown().optional(),
};

const ofReceiver = {
  requiresSession: z.boolean().default(false),
  lockDuration: duration.default('PT1M'),
  maxDeliveryCount: z.int().min(1).max(2000).default(10),
  deadLetteringOnMessageExpiration: z.boolean().default(false),
  forwardTo: z.string().optional(),
  forwardDeadLetteredMessagesTo: z.string().optional(),
};

const value = z.union([z.string(), z.number(), z.boolean(), z.date()]);

const correlation = z.object({
  correlationId: z.string().optional(),
  messageId: z.string().optional(),
  to: z.string().optional(),
  replyTo: z.string().optional(),
  label: z.string().optional(),
  sessionId: z.string().optional(),
  replyToSessionId: z.string().optional(),
  contentType: z.string().optional(),
  properties: z.record(z.string(), value).default({}),
});

const sql = z.object({
  sqlExpression: z.string().max(1024),
  parameters: z.record(z.string(), value).default({}),
});

/** Without a filter a rule takes every message. */
export const ruleDescription = z.object({
  name: z.string().min(1).max(50),
  sqlFilter: sql.optional(),
  correlationFilter: correlation.optional(),
  action: sql.optional(),
  createdAt: z.number().optional(),
});

export const queueDescription = z.object({ ...ofEntity, ...ofSender, ...ofReceiver });

export const subscriptionDescription = z.object({
  ...ofEntity,
  ...ofReceiver,
  deadLetteringOnFilterEvaluationExceptions: z.boolean().default(true),
  /** None given: one that takes all. */
  rules: z.array(ruleDescription).optional(),
});

export const topicDescription = z.object({
  ...ofEntity,
  ...ofSender,
  supportOrdering: z.boolean().default(true),
  subscriptions: z.array(subscriptionDescription).default([]),
});

export const topologySchema = z.object({
  queues: z.array(queueDescription).default([]),
  topics: z.array(topicDescription).default([]),
});

export type QueueDescription = z.input<typeof queueDescription>;
export type TopicDescription = z.input<typeof topicDescription>;
export type SubscriptionDescription = z.input<typeof subscriptionDescription>;
export type RuleDescription = z.input<typeof ruleDescription>;
export type Rule = z.output<typeof ruleDescription>;
export type Topology = z.output<typeof topologySchema>;
export type Described = z.output<typeof queueDescription> &
  Pick<z.output<typeof subscriptionDescription>, 'deadLetteringOnFilterEvaluationExceptions'> &
  Pick<z.output<typeof topicDescription>, 'supportOrdering'>;

/** What the rules of a queue work with: durations in milliseconds, what does not apply undefined. */
export interface QueueSettings {
  name: string;
  /** Who may use it how: a topic is only sent to, a subscription only received from. */
  role: 'queue' | 'topic' | 'subscription' | 'deadLetters';
  status: z.output<typeof status>;
  requiresSession: boolean;
  duplicateWindowMs: number | undefined;
  lockMs: number;
  /** Undefined on a dead-letter queue, which has no limit. */
  maxDeliveryCount: number | undefined;
  ttlMs: number | undefined;
  deadLetterOnExpiry: boolean;
  /** Of a subscription: a message on which a rule failed is not just left out. */
  deadLetterOnFaultyRule: boolean;
  maxBytes: number;
}

/** The settings of a queue, topic or subscription that is described so. */
export function toSettings(
  name: string,
  role: QueueSettings['role'],
  described: Partial<Described>,
): QueueSettings {
  const { duplicateDetectionHistoryTimeWindow, defaultMessageTimeToLive, lockDuration } = described;
  return {
    name,
    role,
    status: described.status ?? 'Active',
    requiresSession: described.requiresSession ?? false,
    duplicateWindowMs: described.requiresDuplicateDetection
      ? durationMs(duplicateDetectionHistoryTimeWindow)
      : undefined,
    lockMs: durationMs(lockDuration) ?? 60_000,
    maxDeliveryCount: described.maxDeliveryCount,
    ttlMs: durationMs(defaultMessageTimeToLive),
    deadLetterOnExpiry: described.deadLetteringOnMessageExpiration ?? false,
    deadLetterOnFaultyRule: described.deadLetteringOnFilterEvaluationExceptions ?? true,
    maxBytes: (described.maxSizeInMegabytes ?? 1024) * 1024 * 1024,
  };
}

export const deadLetterSettings = (
  of: QueueSettings,
  path = '$DeadLetterQueue',
): QueueSettings => ({
  ...of,
  name: `${of.name}/${path}`,
  role: 'deadLetters',
  status: 'Active',
  requiresSession: false,
  duplicateWindowMs: undefined,
  maxDeliveryCount: undefined,
  ttlMs: undefined,
  deadLetterOnExpiry: false,
});

// What the SDKs mean by "for ever": .NET's TimeSpan.MaxValue, over 29,000 years.
const forEverMs = 900_000_000_000_000;

/** Of fixed length, as the service takes them; undefined for none, for ever and what is no duration. */
export function durationMs(text: string | undefined): number | undefined {
  const match = /^P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(
    text ?? '',
  );
  if (!match) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((n) => Number(n ?? 0));
  return Math.min((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000, forEverMs);
}
