/** The SDK clients: by managed identity in Azure, by connection string on one machine. */
import { TableClient } from '@azure/data-tables';
import { DefaultAzureCredential } from '@azure/identity';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import type { Settings } from '../settings.ts';

export interface Clients {
  serviceBus: ServiceBusClient;
  blobs: BlobServiceClient;
  table(name: string): TableClient;
  /** The app makes its tables and containers: in an account of their own Bicep does, and it may not. */
  makesStores: boolean;
}

// The SDK's defaults would make a caller wait through a blip of a second: 30 s between tries, and a minute
// for the answer to what was under way when the connection broke, which never comes.
const serviceBusOptions = {
  retryOptions: {
    ...{ maxRetries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 },
    timeoutInMs: 10_000,
  },
};

export function createClients(settings: Settings): Clients {
  const connection = settings.DATA_BLOB_URI ? undefined : settings.AzureWebJobsStorage;
  const serviceBus = settings.ServiceBus
    ? new ServiceBusClient(settings.ServiceBus, serviceBusOptions)
    : new ServiceBusClient(
        settings.ServiceBus__fullyQualifiedNamespace ?? '',
        new DefaultAzureCredential(),
        serviceBusOptions,
      );
  if (connection) {
    // Only an emulator is reached without TLS.
    const allowInsecureConnection = /http:\/\/|UseDevelopmentStorage=true/i.test(connection);
    return {
      serviceBus,
      makesStores: true,
      blobs: BlobServiceClient.fromConnectionString(connection),
      table: (name) =>
        TableClient.fromConnectionString(connection, name, { allowInsecureConnection }),
    };
  }
  const credential = new DefaultAzureCredential();
  const account = settings.AzureWebJobsStorage__accountName;
  const uri = (service: 'blob' | 'table', given: string | undefined) =>
    given ?? `https://${account}.${service}.core.windows.net`;
  return {
    serviceBus,
    makesStores: settings.DATA_BLOB_URI === undefined,
    blobs: new BlobServiceClient(
      uri('blob', settings.DATA_BLOB_URI ?? settings.AzureWebJobsStorage__blobServiceUri),
      credential,
    ),
    table: (name) =>
      new TableClient(
        uri('table', settings.DATA_TABLE_URI ?? settings.AzureWebJobsStorage__tableServiceUri),
        name,
        credential,
      ),
  };
}
