/** Inputs, results, checkpoints and files of jobs in Blob storage. */
import type { BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { NonRetryableError } from '../errors.ts';
import type { Blobs } from '../ports.ts';
import { isMissing } from './status.ts';

/**
 * The client of a blob of this container, and of no other: the SDK leaves `/` in a name as it is, and a
 * `..` between two of them would lead out of it. @throws NonRetryableError
 */
function clientOf(container: ContainerClient, name: string) {
  const isPlain = name.split(/[/\\]/).every((part) => !/^(\.|%2e){0,2}$/i.test(part));
  const client = isPlain ? container.getBlobClient(name) : undefined;
  if (client?.name === name && client.containerName === container.containerName) return client;
  throw new NonRetryableError(
    `'${name.slice(0, 200)}' is no name of a blob here: its parts must not be empty, '.' or '..'.`,
    { code: 'bad_blob_name' },
  );
}

export const ownContainer = 'longhaul';
export const inboxContainer = 'inbox';

export function createBlobs(service: BlobServiceClient, ready: Promise<void>): Blobs {
  const own = service.getContainerClient(ownContainer);
  const inbox = service.getContainerClient(inboxContainer);
  return {
    async write(name, content, contentType) {
      await ready;
      const blobHTTPHeaders = { blobContentType: contentType };
      const client = clientOf(own, name).getBlockBlobClient();
      await client.uploadData(content, { blobHTTPHeaders });
    },
    async read(name) {
      await ready;
      return download(own, name);
    },
    async remove(name) {
      await ready;
      await clientOf(own, name).deleteIfExists();
    },
    async removeAll(prefix) {
      await ready;
      for await (const { name } of own.listBlobsFlat({ prefix }))
        await clientOf(own, name).deleteIfExists();
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
    const { readableStreamBody, contentType } = await clientOf(container, name).download();
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
