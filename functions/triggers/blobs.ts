/** A blob saved as `inbox/{job type}/…` starts that job. */
import { createHash } from 'node:crypto';
import { app, type InvocationContext } from '@azure/functions';
import { inboxContainer } from '../azure/blobs.ts';
import { LonghaulError } from '../errors.ts';
import { submitOnce } from '../pipeline/idempotency.ts';
import type { Log } from '../pipeline/ports.ts';
import type { Submitting } from '../pipeline/submit.ts';

export function registerBlobs(worker: Submitting & { log: Log }): void {
  app.storageBlob('start-from-inbox', {
    connection: 'AzureWebJobsStorage',
    path: `${inboxContainer}/{name}`,
    handler: (content, context) => start(worker, content as Buffer, context),
  });
}

async function start(
  worker: Submitting & { log: Log },
  content: Buffer,
  { triggerMetadata = {} }: InvocationContext,
): Promise<void> {
  const blob = String(triggerMetadata['name']);
  const [, type] = /^([^/]+)\/./.exec(blob) ?? [];
  // Beside the folders lie blobs that jobs read.
  if (type === undefined) return;
  try {
    // Each version of a blob starts its job once, however often the host offers it.
    const key = `${inboxContainer}/${blob} ${versionOf(content, triggerMetadata)}`;
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
    return JSON.parse(content.toString('utf8'));
  } catch {
    return { blob };
  }
}

function versionOf(content: Buffer, metadata: Record<string, unknown>): string {
  const { etag, eTag } = (metadata['properties'] ?? {}) as { etag?: string; eTag?: string };
  return etag ?? eTag ?? createHash('sha256').update(content).digest('hex');
}
