/** All that a stack keeps, as JSON: rows of its tables, its blobs, its messages. */
import { gunzipSync, gzipSync } from 'node:zlib';
import { TableClient, TableServiceClient } from '@azure/data-tables';
import { ServiceBusClient, type ServiceBusMessage } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';

export interface Kept {
  /** Of the version that wrote it. */
  commit: string;
  /** What is meant, by the name that the test calls it by. */
  jobs: Record<string, string>;
  tables: Record<string, Record<string, unknown>[]>;
  /** Compressed, in base64. */
  blobs: { name: string; contentType: string; content: string }[];
  messages: Record<string, (Omit<ServiceBusMessage, 'body'> & { body: string })[]>;
}

const insecure = { allowInsecureConnection: true };
const container = 'longhaul';
const pack = (content: Uint8Array) => gzipSync(content).toString('base64');
const unpack = (text: string) => gunzipSync(Buffer.from(text, 'base64'));

export async function keptIn(storage: string, bus: string, queues: readonly string[]) {
  return {
    tables: await tablesIn(storage),
    blobs: await blobsIn(storage),
    messages: await messagesIn(bus, queues),
  };
}

async function tablesIn(storage: string): Promise<Kept['tables']> {
  const tables: Kept['tables'] = {};
  for await (const { name = '' } of TableServiceClient.fromConnectionString(
    storage,
    insecure,
  ).listTables()) {
    if (!name.startsWith('longhaul')) continue;
    const rows: Record<string, unknown>[] = [];
    for await (const row of TableClient.fromConnectionString(
      storage,
      name,
      insecure,
    ).listEntities()) {
      const { etag: _, timestamp: _t, ...own } = row;
      rows.push(own);
    }
    tables[name] = rows;
  }
  return tables;
}

async function blobsIn(storage: string): Promise<Kept['blobs']> {
  const from = BlobServiceClient.fromConnectionString(storage).getContainerClient(container);
  const blobs: Kept['blobs'] = [];
  for await (const { name, properties } of from.listBlobsFlat())
    blobs.push({
      name,
      contentType: properties.contentType ?? '',
      content: pack(await from.getBlobClient(name).downloadToBuffer()),
    });
  return blobs;
}

const given = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

async function messagesIn(bus: string, queues: readonly string[]): Promise<Kept['messages']> {
  const client = new ServiceBusClient(bus);
  const messages: Kept['messages'] = {};
  for (const queue of queues) {
    const receiver = client.createReceiver(queue, { skipParsingBodyAsJson: true });
    const found = await receiver.peekMessages(1_000);
    messages[queue] = found.map((message) => {
      const { messageId, contentType, sessionId, correlationId, subject } = message;
      const { replyTo, replyToSessionId, applicationProperties } = message;
      const body = pack(message.body as Buffer);
      return given({
        ...{ messageId, contentType, sessionId, correlationId, subject },
        ...{ replyTo, replyToSessionId, applicationProperties, body },
      }) as Kept['messages'][string][number];
    });
    await receiver.close();
  }
  await client.close();
  return messages;
}

/** What was to come later comes at once: the waiting is over. */
export async function putBack(kept: Kept, storage: string, bus: string): Promise<void> {
  for (const [name, rows] of Object.entries(kept.tables)) {
    const table = TableClient.fromConnectionString(storage, name, insecure);
    await table.createTable();
    for (const row of rows) await table.createEntity(row as never);
  }
  const to = BlobServiceClient.fromConnectionString(storage).getContainerClient(container);
  await to.createIfNotExists();
  for (const { name, contentType, content } of kept.blobs)
    await to.getBlockBlobClient(name).uploadData(unpack(content), {
      blobHTTPHeaders: { blobContentType: contentType },
    });
  const client = new ServiceBusClient(bus);
  for (const [queue, messages] of Object.entries(kept.messages)) {
    const sender = client.createSender(queue);
    for (const { body, ...rest } of messages)
      await sender.sendMessages({ ...rest, body: unpack(body) });
    await sender.close();
  }
  await client.close();
}
