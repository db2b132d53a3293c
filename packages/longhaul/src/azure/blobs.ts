/** Inputs, results, checkpoints and files of jobs in Blob storage. */
import type {
  BlobDownloadResponseParsed,
  BlobServiceClient,
  ContainerClient,
} from '@azure/storage-blob';
import { NonRetryableError } from '../errors.ts';
import type { Blobs } from '../ports.ts';
import { isBehind, isChanged, isMissing } from './status.ts';

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
    async append(name, content, mostBytes) {
      await ready;
      const client = clientOf(own, name).getAppendBlobClient();
      const conditions = { maxSize: mostBytes };
      const add = async () => {
        const { blobAppendOffset = '0' } = await client.appendBlock(content, content.length, {
          conditions,
        });
        return Number(blobAppendOffset) + content.length;
      };
      try {
        return await add().catch(async (error: unknown) => {
          if (!isMissing(error)) throw error;
          await client.createIfNotExists({ blobHTTPHeaders: { blobContentType: 'text/plain' } });
          return add();
        });
      } catch (error) {
        if (isChanged(error)) return undefined;
        throw error;
      }
    },
    async readPart(name, from, bytes) {
      await ready;
      try {
        return await bytesOf(await clientOf(own, name).download(from, bytes));
      } catch (error) {
        if (isMissing(error) || isBehind(error)) return Buffer.alloc(0);
        throw error;
      }
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

async function bytesOf({
  readableStreamBody,
}: Pick<BlobDownloadResponseParsed, 'readableStreamBody'>) {
  const chunks: Buffer[] = [];
  for await (const chunk of readableStreamBody ?? []) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}

async function download(container: ContainerClient, name: string) {
  try {
    const answer = await clientOf(container, name).download();
    const { contentType = 'application/octet-stream' } = answer;
    return { content: await bytesOf(answer), contentType };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
