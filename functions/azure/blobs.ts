/** Inputs, results, checkpoints and files of jobs in Blob storage. */
import type { BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { NonRetryableError } from '../errors.ts';
import type { Blobs } from '../pipeline/ports.ts';
import { isMissing } from './status.ts';

export const ownContainer = 'longhaul';
export const inboxContainer = 'inbox';

export function createBlobs(service: BlobServiceClient, ready: Promise<void>): Blobs {
  const own = service.getContainerClient(ownContainer);
  const inbox = service.getContainerClient(inboxContainer);
  return {
    async write(name, content, contentType) {
      await ready;
      const blobHTTPHeaders = { blobContentType: contentType };
      await own.getBlockBlobClient(name).uploadData(content, { blobHTTPHeaders });
    },
    async read(name) {
      await ready;
      return download(own, name);
    },
    async remove(name) {
      await ready;
      await own.getBlobClient(name).deleteIfExists();
    },
    async removeAll(prefix) {
      await ready;
      for await (const { name } of own.listBlobsFlat({ prefix }))
        await own.getBlobClient(name).deleteIfExists();
    },
    async readInbox(name) {
      await ready;
      const found = await download(inbox, name);
      if (found) return found.content;
      throw new NonRetryableError(
        `There is no blob '${name}' in the container '${inboxContainer}': upload it first.`,
      );
    },
  };
}

async function download(container: ContainerClient, name: string) {
  try {
    const { readableStreamBody, contentType } = await container.getBlobClient(name).download();
    const chunks: Buffer[] = [];
    for await (const chunk of readableStreamBody ?? []) chunks.push(Buffer.from(chunk as Buffer));
    return {
      content: Buffer.concat(chunks),
      contentType: contentType ?? 'application/octet-stream',
    };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
