/** One worker function for each queue of the lanes that an app serves, and one for completions. */
import { app } from '@azure/functions';
import { type SdkBatch, type SdkBinding, toDelivery, toIncoming } from '../azure/delivery.ts';
import { inInvocation } from '../azure/log.ts';
import type { Seal } from '../azure/seal.ts';
import type { SessionCache } from '../azure/session-cache.ts';
import { connectionOf } from '../model/topology.ts';
import type { Delivery } from '../ports.ts';
import type { Working } from '../run/attempt.ts';
import { execute } from '../run/execute.ts';
import { hold, pauseOrStop } from '../run/hand-back.ts';
import { handleEach } from '../run/signals.ts';
import type { UnderWay } from './under-way.ts';

// Before what failed among other news comes again.
const againMs = 1_000;

/** What each delivery goes through beside the pipeline. */
interface Through {
  seal: Seal;
  sessions: SessionCache;
  underWay: UnderWay;
}

export function registerQueues(worker: Working, lanes: readonly string[], through: Through): void {
  for (const { name, plain, keyed, bus } of worker.topology.lanes) {
    if (!lanes.includes(name)) continue;
    const connection = connectionOf(bus);
    registerWorker(worker, through, { connection, queueName: plain, isSessionsEnabled: false });
    registerWorker(worker, through, { connection, queueName: keyed, isSessionsEnabled: true });
  }
}

export function registerCompletions(worker: Working): void {
  const queueName = worker.topology.completions;
  app.serviceBusQueue('take-completions', {
    connection: connectionOf(undefined),
    queueName,
    isSessionsEnabled: true,
    sdkBinding: true,
    cardinality: 'many',
    handler: (binding, context) =>
      inInvocation(context, () => takeBatch(worker, queueName, binding as SdkBatch)),
  });
}

/** @throws what some or all of the batch met: the host hands back those that are not completed */
export async function takeBatch(
  worker: Working,
  queueName: string,
  { messages, actions }: SdkBatch,
): Promise<void> {
  const incoming = messages.map((message) => toIncoming(queueName, message));
  try {
    const failed = await handleEach(worker, incoming);
    if (failed.size === 0) return;
    const [error] = failed.values();
    if (failed.size === incoming.length) await hold(worker, queueName, () => Promise.reject(error));
    // The others are done: what one job's news met is no reason to bring theirs again.
    for (const [at, one] of incoming.entries()) {
      const message = messages[at];
      if (message && !failed.has(one)) await actions.complete(message);
    }
    worker.log('error', `${queueName}: ${failed.size} handed back: ${(error as Error).message}`);
    await pauseOrStop(worker, againMs);
    throw error;
  } finally {
    // The host takes one session at a time: waiting for more of the same would hold up the others.
    const [{ sessionId } = {}] = messages;
    if (sessionId !== undefined) await actions.releaseSession(sessionId).catch(() => undefined);
  }
}

function registerWorker(
  worker: Working,
  { seal, sessions, underWay }: Through,
  queue: { connection: string; queueName: string; isSessionsEnabled: boolean },
): void {
  const { queueName } = queue;
  app.serviceBusQueue(`work-${queueName}`, {
    ...queue,
    sdkBinding: true,
    // The pipeline answers each message itself: only so can it dead-letter with a reason.
    autoCompleteMessages: false,
    handler: (binding, context) =>
      inInvocation(context, async () => {
        const { deliveryCount } = context.triggerMetadata ?? {};
        const delivery = toDelivery(queueName, binding as SdkBinding, deliveryCount);
        const take = async (own: Delivery) =>
          execute(worker, { ...own, message: await seal.open(own.message) });
        return underWay.during(sessions.during(delivery, take));
      }),
  });
}
