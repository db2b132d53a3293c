/**
 * `longhaul emulator-config [file]`: writes the configuration of Microsoft's Service Bus emulator from
 * topology.json, within what the emulator accepts, and says what it had to change.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { durationMs, type QueueDescription } from 'longhaul-service-bus/internal/entity/settings';
import { readTopology } from 'longhaul-service-bus/internal/start';

export const configFile = 'deploy/emulator/servicebus.json';

// Its Config-schema.json (Azure/azure-service-bus-emulator-installer) takes no more than these.
const hour = 'PT1H';
const fiveMinutes = 'PT5M';
const mostDeliveries = 10;
const mostQueues = 50;

export async function emulatorConfig(): Promise<{ config: unknown; changed: string[] }> {
  const { queues } = await readTopology('topology.json');
  if (queues.length > mostQueues)
    throw new Error(`The emulator takes ${mostQueues} queues, topology.json has ${queues.length}.`);
  const changed: string[] = [];
  const namespace = {
    Name: 'sbemulatorns',
    Queues: queues.map((queue) => ({ Name: queue.name, Properties: toProperties(queue, changed) })),
    Topics: [],
  };
  const config = { UserConfig: { Namespaces: [namespace], Logging: { Type: 'Console' } } };
  return { config, changed };
}

const lengthOf = (duration: string) => durationMs(duration) ?? 0;

function toProperties(queue: QueueDescription, changed: string[]) {
  const atMost = (setting: keyof QueueDescription, given: string | undefined, limit: string) => {
    if (given === undefined || lengthOf(given) <= lengthOf(limit)) return given ?? limit;
    changed.push(`${queue.name}.${setting}: ${given} becomes ${limit}`);
    return limit;
  };
  const deliveries = Math.min(queue.maxDeliveryCount ?? mostDeliveries, mostDeliveries);
  if (deliveries !== queue.maxDeliveryCount)
    changed.push(`${queue.name}.maxDeliveryCount: ${queue.maxDeliveryCount} becomes ${deliveries}`);
  return {
    RequiresSession: queue.requiresSession ?? false,
    RequiresDuplicateDetection: queue.requiresDuplicateDetection ?? false,
    DuplicateDetectionHistoryTimeWindow: atMost(
      'duplicateDetectionHistoryTimeWindow',
      queue.duplicateDetectionHistoryTimeWindow,
      fiveMinutes,
    ),
    DefaultMessageTimeToLive: atMost(
      'defaultMessageTimeToLive',
      queue.defaultMessageTimeToLive,
      hour,
    ),
    LockDuration: queue.lockDuration,
    MaxDeliveryCount: deliveries,
    DeadLetteringOnMessageExpiration: queue.deadLetteringOnMessageExpiration ?? false,
    ForwardDeadLetteredMessagesTo: '',
    ForwardTo: '',
  };
}

/** Answers what it says. */
export async function writeEmulatorConfig(file: string): Promise<string> {
  const { config, changed } = await emulatorConfig();
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`);
  return `${file}\n${changed.map((line) => `  ${line}\n`).join('')}`;
}
