/** One worker function for each queue of the lanes that this app serves, and one for completions. */
import { app } from '@azure/functions';
import { type SdkBinding, toDelivery } from '../azure/delivery.ts';
import type { Working } from '../pipeline/attempt.ts';
import { type Completion, takeCompletion } from '../pipeline/completion.ts';
import { execute } from '../pipeline/execute.ts';
import type { Notes } from '../pipeline/ports.ts';

const connection = 'ServiceBus';

export function registerQueues(worker: Working & { notes: Notes }, lanes: readonly string[]): void {
  for (const { name, plain, keyed } of worker.topology.lanes) {
    if (!lanes.includes(name)) continue;
    registerWorker(worker, `work-${plain}`, plain, false);
    registerWorker(worker, `work-${keyed}`, keyed, true);
  }
  const { completions } = worker.topology;
  app.serviceBusQueue('take-completions', {
    connection,
    queueName: completions,
    isSessionsEnabled: true,
    handler: (event) => takeCompletion(worker, event as Completion),
  });
}

function registerWorker(
  worker: Working,
  name: string,
  queueName: string,
  isSessionsEnabled: boolean,
): void {
  app.serviceBusQueue(name, {
    connection,
    queueName,
    isSessionsEnabled,
    sdkBinding: true,
    // The pipeline answers each message itself: only so can it dead-letter with a reason.
    autoCompleteMessages: false,
    handler: (binding) => execute(worker, toDelivery(queueName, binding as SdkBinding)),
  });
}
