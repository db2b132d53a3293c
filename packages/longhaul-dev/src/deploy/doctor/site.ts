/** The deployment that is looked at: its API, and what else of it could be reached. */
import { randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { DefaultAzureCredential } from '@azure/identity';
import type { ServiceBusClient } from '@azure/service-bus';
import { type Account, createClients } from 'longhaul/internal/azure/clients';
import { readTopology, type Topology } from 'longhaul/internal/model/topology';
import { readSettings } from 'longhaul/internal/settings';
import type { Answer, Arm } from './arm.ts';
import { Skipped } from './check.ts';

export const topologyFile = pathToFileURL('topology.json');

export interface Api {
  url: string;
  /** A key or a token goes with each call. */
  isGuarded: boolean;
  call(path: string, init?: RequestInit): Promise<Response>;
}

/** What `az deployment group show` says of main.bicep's deployment. */
export interface Group {
  arm: Arm;
  /** `/subscriptions/…/resourceGroups/…` */
  id: string;
  outputs: Record<string, Answer>;
}

export interface Site {
  api: Api;
  group?: Group | undefined;
  clients?: Pick<Account, 'blobs' | 'table'> & { serviceBus: ServiceBusClient };
  topology: Topology;
  /** Where a callback may be sent. */
  callback?: string | undefined;
  /** In the names of all that is made here. */
  mark: string;
  patienceMs: number;
  /** What was made is taken away at the end. */
  later: (() => Promise<unknown>)[];
}

export function createApi(url: string, { key = '', token = '' } = {}): Api {
  const base = url.replace(/\/$/, '');
  const own = {
    ...(key ? { 'x-functions-key': key } : {}),
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  // The platform's own error would show it.
  if (!Object.values(own).every((value) => /^[\x20-\x7e]+$/.test(value)))
    throw new Error(
      'The key or the token holds what no header may: was it copied with a line break?',
    );
  return {
    url: base,
    isGuarded: Object.keys(own).length > 0,
    call: (path, init = {}) =>
      fetch(`${base}${path}`, {
        ...init,
        headers: { 'content-type': 'application/json', ...own, ...init.headers },
        signal: init.signal ?? AbortSignal.timeout(70_000),
      }),
  };
}

export const createSite = (some: Omit<Site, 'mark' | 'later' | 'topology'>): Site => ({
  ...some,
  topology: readTopology(topologyFile),
  mark: `doctor-${randomBytes(5).toString('hex')}`,
  later: [],
});

/** Bus and storage: by the settings that the app has on one machine, or by name in Azure. */
export function clientsOf(environment: Record<string, string | undefined>, group?: Group) {
  const { serviceBusNamespace, storageAccount, hostStorageAccount } = group?.outputs ?? {};
  const inAzure = {
    ServiceBus__fullyQualifiedNamespace: serviceBusNamespace,
    AzureWebJobsStorage__accountName: hostStorageAccount,
    DATA_BLOB_URI: `https://${storageAccount}.blob.core.windows.net`,
    DATA_TABLE_URI: `https://${storageAccount}.table.core.windows.net`,
  };
  if (!group && !environment['ServiceBus']) return undefined;
  const clients = createClients(readSettings(group ? inAzure : environment));
  return { ...clients.account('main'), serviceBus: clients.serviceBus() };
}

export async function tokenFor(resource: string): Promise<string> {
  const scope = `${resource}/.default`;
  return (await new DefaultAzureCredential().getToken(scope)).token;
}

/** @throws Skipped without --azure */
export function groupOf({ group }: Site): Group {
  if (group) return group;
  throw new Skipped('asks Azure: give --azure --resource-group GROUP');
}

/** @throws Skipped where bus and storage were not given */
export function clientsAt({ clients }: Site): NonNullable<Site['clients']> {
  if (clients) return clients;
  throw new Skipped('needs bus and storage: --azure, or ServiceBus and AzureWebJobsStorage');
}
