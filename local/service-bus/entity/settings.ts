import { z } from 'zod';

const duration = z.iso.duration();

/** A queue of `topology.json`, in the names of the ARM resource Microsoft.ServiceBus/namespaces/queues. */
const queueDescription = z.object({
  name: z.string().min(1).max(260),
  requiresSession: z.boolean().default(false),
  requiresDuplicateDetection: z.boolean().default(false),
  duplicateDetectionHistoryTimeWindow: duration.default('PT10M'),
  lockDuration: duration.default('PT1M'),
  maxDeliveryCount: z.int().min(1).default(10),
  defaultMessageTimeToLive: duration.optional(),
  deadLetteringOnMessageExpiration: z.boolean().default(false),
});

export const topologyOfQueues = z.object({ queues: z.array(queueDescription) });
export type QueueDescription = z.input<typeof queueDescription>;

/** The same with durations in milliseconds. */
export interface QueueSettings {
  name: string;
  requiresSession: boolean;
  duplicateWindowMs: number | undefined;
  lockMs: number;
  /** Undefined on a dead-letter queue, which has no limit. */
  maxDeliveryCount: number | undefined;
  ttlMs: number | undefined;
  deadLetterOnExpiry: boolean;
}

export function toSettings(description: QueueDescription): QueueSettings {
  const queue = queueDescription.parse(description);
  return {
    name: queue.name,
    requiresSession: queue.requiresSession,
    duplicateWindowMs: queue.requiresDuplicateDetection
      ? durationMs(queue.duplicateDetectionHistoryTimeWindow)
      : undefined,
    lockMs: durationMs(queue.lockDuration),
    maxDeliveryCount: queue.maxDeliveryCount,
    ttlMs: queue.defaultMessageTimeToLive ? durationMs(queue.defaultMessageTimeToLive) : undefined,
    deadLetterOnExpiry: queue.deadLetteringOnMessageExpiration,
  };
}

export const deadLetterSettings = (of: QueueSettings): QueueSettings => ({
  ...of,
  name: `${of.name}/$DeadLetterQueue`,
  requiresSession: false,
  duplicateWindowMs: undefined,
  maxDeliveryCount: undefined,
  ttlMs: undefined,
  deadLetterOnExpiry: false,
});

/** ISO 8601 durations of fixed length, as the service takes them: days, hours, minutes, seconds. */
function durationMs(text: string): number {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (!match) throw new Error(`${text}: give the duration in days, hours, minutes and seconds.`);
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((n) => Number(n ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}
