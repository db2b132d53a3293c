import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TableClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { azuriteConnectionString, startAzurite } from '#dev/azurite/azurite.js';
import { freePorts } from '#dev/stack/ports.js';

/** Azurite by itself, on free ports. */
export async function testStorage() {
  const data = await mkdtemp(join(tmpdir(), 'longhaul-azurite-'));
  const [blob = 0, queue = 0, table = 0] = await freePorts(3);
  const options = { data, host: '127.0.0.1', ports: { blob, queue, table } };
  const azurite = await startAzurite(options);
  const connection = azuriteConnectionString(options);
  return {
    blobs: BlobServiceClient.fromConnectionString(connection),
    async table(name: string): Promise<TableClient> {
      const client = TableClient.fromConnectionString(connection, name, {
        allowInsecureConnection: true,
      });
      await client.createTable();
      return client;
    },
    async remove() {
      await azurite.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}
