/** The SDK clients: by managed identity in Azure, by connection string on one machine. */
import { TableClient } from '@azure/data-tables';
import { DefaultAzureCredential } from '@azure/identity';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { SettingsError } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { remembered } from './remembered.ts';

/** A storage account. */
export interface Account {
  blobs: BlobServiceClient;
  table(name: string): TableClient;
  /** The app makes its tables and containers: in an account of their own Bicep does, and it may not. */
  makesStores: boolean;
}

export interface Clients {
  /** Of a namespace that a lane names, or of the one that all else is in. @throws SettingsError */
  serviceBus(bus?: string): ServiceBusClient;
  /** `main`, or one that DATA_PLACES names. */
  account(name: string): Account;
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
  const { ServiceBus, ServiceBus__fullyQualifiedNamespace: namespace } = settings;
  const buses = new Map(settings.buses).set('', ServiceBus ?? namespace ?? '');
  return {
    serviceBus: remembered((bus = '') => {
      const found = buses.get(bus);
      if (found !== undefined) return busAt(found);
      throw new SettingsError(
        `topology.json has a lane on the bus '${bus}': set ServiceBus_${bus} or ServiceBus_${bus}__fullyQualifiedNamespace.`,
      );
    }),
    account: remembered((name = 'main') => (name === 'main' ? main(settings) : other(name))),
  };
}

const isConnection = (text: string) => text.includes('=');

const busAt = (bus: string) =>
  isConnection(bus)
    ? new ServiceBusClient(bus, serviceBusOptions)
    : new ServiceBusClient(bus, new DefaultAzureCredential(), serviceBusOptions);

function main(settings: Settings): Account {
  const { AzureWebJobsStorage: connection, DATA_BLOB_URI, DATA_TABLE_URI } = settings;
  if (connection && !DATA_BLOB_URI) return byConnection(connection);
  const name = settings.AzureWebJobsStorage__accountName;
  return byIdentity(
    DATA_BLOB_URI ?? settings.AzureWebJobsStorage__blobServiceUri ?? uriOf(name, 'blob'),
    DATA_TABLE_URI ?? settings.AzureWebJobsStorage__tableServiceUri ?? uriOf(name, 'table'),
    DATA_BLOB_URI === undefined,
  );
}

const other = (account: string): Account =>
  isConnection(account)
    ? byConnection(account)
    : byIdentity(uriOf(account, 'blob'), uriOf(account, 'table'), false);

const uriOf = (account: string | undefined, service: 'blob' | 'table') =>
  `https://${account}.${service}.core.windows.net`;

function byConnection(connection: string): Account {
  // Only an emulator is reached without TLS.
  const allowInsecureConnection = /http:\/\/|UseDevelopmentStorage=true/i.test(connection);
  return {
    makesStores: true,
    blobs: BlobServiceClient.fromConnectionString(connection),
    table: (name) =>
      TableClient.fromConnectionString(connection, name, { allowInsecureConnection }),
  };
}

function byIdentity(blobUri: string, tableUri: string, makesStores: boolean): Account {
  const credential = new DefaultAzureCredential();
  return {
    makesStores,
    blobs: new BlobServiceClient(blobUri, credential),
    table: (name) => new TableClient(tableUri, name, credential),
  };
}
