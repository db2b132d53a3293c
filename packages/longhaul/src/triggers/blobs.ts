/**
 * A blob saved as `inbox/{job type}/…` starts that job. The host finds it by its scan or, where it
 * has none (Flex Consumption), Event Grid puts an event about it into a queue.
 */
import { createHash } from 'node:crypto';
import { app, type InvocationContext } from '@azure/functions';
import { z } from 'zod';
import { submitOnce } from '../admit/idempotency.ts';
import type { Submitting } from '../admit/submit.ts';
import { inboxContainer } from '../azure/blobs.ts';
import { fromJson } from '../define/json.ts';
import { LonghaulError } from '../errors.ts';
import type { Topology } from '../model/topology.ts';
import type { Blobs, Log } from '../ports.ts';
import type { Settings } from '../settings.ts';

type Inbox = Submitting & { log: Log; topology: Topology; blobs: Blobs };

export function registerInbox(worker: Inbox, source: Settings['INBOX']): void {
  const name = 'start-from-inbox';
  if (source === 'scan')
    app.storageBlob(name, {
      connection: 'AzureWebJobsStorage',
      path: `${inboxContainer}/{name}`,
      handler: (content, { triggerMetadata = {} }: InvocationContext) =>
        start(worker, String(triggerMetadata['name']), {
          content: content as Buffer,
          version: versionOf(content as Buffer, triggerMetadata),
        }),
    });
  if (source === 'events')
    app.serviceBusQueue(name, {
      connection: 'ServiceBus',
      queueName: worker.topology.inbox,
      handler: (event) => startFromEvent(worker, blobCreated.parse(event)),
    });
}

// What the Blob storage event source says of a new blob, as CloudEvents.
const blobCreated = z.object({
  type: z.literal('Microsoft.Storage.BlobCreated'),
  subject: z
    .string()
    .startsWith(`/blobServices/default/containers/${inboxContainer}/blobs/`)
    .transform((subject) => subject.split('/blobs/').slice(1).join('/blobs/')),
  data: z.object({ eTag: z.string() }),
});

async function startFromEvent(
  worker: Inbox,
  { subject: blob, data }: z.output<typeof blobCreated>,
): Promise<void> {
  const content = await worker.blobs.readInbox(blob);
  await start(worker, blob, { content, version: data.eTag });
}

async function start(
  worker: Inbox,
  blob: string,
  { content, version }: { content: Buffer; version: string },
): Promise<void> {
  const [, type] = /^([^/]+)\/./.exec(blob) ?? [];
  // Beside the folders lie blobs that jobs read.
  if (type === undefined) return;
  try {
    // Each version of a blob starts its job once, however often the host offers it.
    const key = `${inboxContainer}/${blob} ${version}`;
    const { record } = await submitOnce(worker, { type, input: inputOf(blob, content) }, key);
    worker.log('info', `inbox: ${blob} started job ${record.id}`);
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.status >= 500) throw error;
    // Offered again it would be refused again.
    worker.log('error', `inbox: ${blob} starts no job: ${error.message}`);
  }
}

/** JSON is the input itself; of anything else the input names the blob. */
function inputOf(blob: string, content: Buffer): unknown {
  try {
    return fromJson(content.toString('utf8'));
  } catch {
    return { blob };
  }
}

function versionOf(content: Buffer, metadata: Record<string, unknown>): string {
  const { etag, eTag } = (metadata['properties'] ?? {}) as { etag?: string; eTag?: string };
  return etag ?? eTag ?? createHash('sha256').update(content).digest('hex');
}
