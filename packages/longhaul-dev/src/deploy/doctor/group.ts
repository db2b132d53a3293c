/** What Azure Resource Manager says: the deployment, the identity's roles, settings. */

import type { Topology } from 'longhaul/internal/model/topology';
import { readSettings } from 'longhaul/internal/settings';
import { type Check, none, Skipped } from './check.ts';
import { type Group, groupOf, type Site } from './site.ts';

export const webVersion = '2025-03-01';
export const siteId = ({ id }: Group, name: string) =>
  `${id}/providers/Microsoft.Web/sites/${name}`;
export const busId = ({ id, outputs }: Group) =>
  `${id}/providers/Microsoft.ServiceBus/namespaces/${String(outputs['serviceBusNamespace']).split('.')[0]}`;
export const accountId = ({ id }: Group, name: string) =>
  `${id}/providers/Microsoft.Storage/storageAccounts/${name}`;
export const appsOf = ({ outputs }: Group) => outputs['functionAppNames'] as string[];

const deployment: Check = {
  name: 'deployment',
  question: 'Did the template go through, and does it say what it made?',
  todo: 'az deployment group show --resource-group GROUP --name longhaul --query properties.error: the first of its details is the cause.',
  async run(site) {
    const group = groupOf(site);
    const wanted = ['apiUrl', 'functionAppNames', 'serviceBusNamespace', 'storageAccount'];
    const missing = [...wanted, 'hostStorageAccount', 'identityPrincipalId'].filter(
      (name) => !group.outputs[name],
    );
    none(missing.map((name) => `it has no output ${name}`));
    return `${appsOf(group).join(', ')}; ${group.outputs['serviceBusNamespace']}`;
  },
};

// By their ids, as bicep/roles.bicep has them; a test holds the two together.
export const roleNames: Record<string, string> = {
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': 'Storage Blob Data Owner',
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe': 'Storage Blob Data Contributor',
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1': 'Storage Blob Data Reader',
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3': 'Storage Table Data Contributor',
  '090c5cfd-751d-490a-894a-3ce6f1109419': 'Azure Service Bus Data Owner',
  '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39': 'Azure Service Bus Data Sender',
  '3913510d-42f4-4e42-8a64-420c390055eb': 'Monitoring Metrics Publisher',
};
const roleId = (name: string) =>
  Object.keys(roleNames).find((id) => roleNames[id] === name) ?? `no role ${name}`;

export const containers = {
  longhaul: 'Storage Blob Data Contributor',
  inbox: 'Storage Blob Data Reader',
  'undelivered-events': 'Storage Blob Data Contributor',
};
export const tables = ['longhauljobs', 'longhaultombstones', 'longhaulnotes', 'longhaulschedules'];

export const workedQueues = ({ lanes, completions, inbox }: Topology) => [
  ...lanes.flatMap(({ plain, keyed }) => [plain, keyed]),
  ...[completions, inbox],
];

/** The role that is needed, and the end of the scope at which it must be. */
function neededRoles(group: Group, topology: Topology): { role: string; scope: string }[] {
  const data = accountId(group, group.outputs['storageAccount']);
  const bus = busId(group);
  return [
    {
      role: 'Storage Blob Data Owner',
      scope: accountId(group, group.outputs['hostStorageAccount']),
    },
    ...Object.entries(containers).map(([name, role]) => ({
      role,
      scope: `${data}/blobServices/default/containers/${name}`,
    })),
    ...tables.map((name) => ({
      role: 'Storage Table Data Contributor',
      scope: `${data}/tableServices/default/tables/${name}`,
    })),
    ...workedQueues(topology).map((name) => ({
      role: 'Azure Service Bus Data Owner',
      scope: `${bus}/queues/${name}`,
    })),
    ...topology.replies.map((name) => ({
      role: 'Azure Service Bus Data Sender',
      scope: `${bus}/queues/${name}`,
    })),
  ];
}

const roles: Check = {
  name: 'roles',
  question: 'Does the identity have every role that the apps work by?',
  todo: 'Deploy the template again, as somebody who may assign roles (Owner, or User Access Administrator). Roles take up to ten minutes to spread.',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const filter = encodeURIComponent(`principalId eq '${group.outputs['identityPrincipalId']}'`);
    const path = `${group.id}/providers/Microsoft.Authorization/roleAssignments?$filter=${filter}`;
    const given = (await group.arm.list(path, '2022-04-01')).map(({ properties }) => ({
      role: String(properties.roleDefinitionId).split('/').at(-1),
      scope: String(properties.scope).toLowerCase(),
    }));
    const needed = neededRoles(group, site.topology);
    const covers = (at: string, scope: string) => scope === at || scope.startsWith(`${at}/`);
    // Whose name the outputs do not say.
    const logs = given.some(
      (g) => g.role === roleId('Monitoring Metrics Publisher') && /\/components\//.test(g.scope),
    );
    const missing = needed
      .filter(
        ({ role, scope }) =>
          !given.some((g) => g.role === roleId(role) && covers(g.scope, scope.toLowerCase())),
      )
      .map(({ role, scope }) => `no ${role} on ${scope.split('/').at(-1)}`);
    none(logs ? missing : [...missing, 'no Monitoring Metrics Publisher on Application Insights']);
    return `${needed.length + 1} roles`;
  },
};

export const settingsOf = async (group: Group, app: string): Promise<Record<string, string>> =>
  (await group.arm.post(`${siteId(group, app)}/config/appsettings/list`, webVersion)).properties;

// A reference is no value yet; what it stands for is asked in 'secrets'.
const placeholders: Record<string, string> = {
  CALLBACK_SECRET: `whsec_${'A'.repeat(43)}=`,
  CALLBACK_SECRETS: `a.example=whsec_${'A'.repeat(43)}=`,
  OUTBOUND_HEADERS: '{}',
};
const isReference = (value: string) => value.startsWith('@Microsoft.KeyVault(');

const settings: Check = {
  name: 'settings',
  question:
    'Are the settings of each app such that it can start, and do the apps serve each lane once?',
  todo: 'Deploy the template again: it owns the settings. What was set by hand is gone then.',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const served: string[] = [];
    let apis = 0;
    for (const app of appsOf(group)) {
      const all = await settingsOf(group, app);
      const readable = Object.fromEntries(
        Object.entries(all).map(([k, v]) => [k, isReference(v) ? placeholders[k] : v]),
      );
      const { LANES, API } = readSettings(readable);
      served.push(...LANES);
      if (API === 'on') apis++;
    }
    const lanes = site.topology.lanes.map(({ name }) => name);
    none([
      ...lanes.filter((lane) => !served.includes(lane)).map((lane) => `no app serves ${lane}`),
      ...lanes
        .filter((lane) => served.indexOf(lane) !== served.lastIndexOf(lane))
        .map((lane) => `two apps serve ${lane}`),
      ...(apis === 1 ? [] : [`${apis} apps have API=on, which runs the timers, instead of one`]),
    ]);
    return `lanes ${served.join(', ')}`;
  },
};

const secrets: Check = {
  name: 'secrets',
  question: 'Are references to the Key Vault resolved? (With a private network too.)',
  todo: "The identity needs Key Vault Secrets User on the vault, the vault must let the apps' network in, and the secret must be there. Then az functionapp restart.",
  after: 'deployment',
  async run(site: Site) {
    const group = groupOf(site);
    const problems: string[] = [];
    let found = 0;
    for (const app of appsOf(group)) {
      const path = `${siteId(group, app)}/config/configreferences/appsettings`;
      for (const { id, properties } of await group.arm.list(path, webVersion)) {
        found++;
        const name = String(id).split('/').at(-1);
        if (properties.status !== 'Resolved')
          problems.push(`${app}: ${name} is ${properties.status}`);
      }
    }
    none(problems);
    if (found === 0) throw new Skipped('no setting refers to a Key Vault');
    return `${found} resolved`;
  },
};

export const groupChecks: Check[] = [deployment, roles, settings, secrets];
