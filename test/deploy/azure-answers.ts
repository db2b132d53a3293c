/**
 * What Azure Resource Manager would answer of a healthy deployment. Made by hand after the published
 * types and the REST reference, not recorded: there is no subscription here.
 */
import { readFileSync } from 'node:fs';
import { alertNames, functionsOf } from '#dev/deploy/doctor/apps.js';
import type { Answer, Arm } from '#dev/deploy/doctor/arm.js';
import { containers, roleNames, tables, workedQueues } from '#dev/deploy/doctor/group.js';
import { topologyFile } from '#dev/deploy/doctor/site.js';
import { readTopology } from '#longhaul/model/topology.js';

export const groupId = '/subscriptions/0000/resourceGroups/rg-longhaul';
const web = `${groupId}/providers/Microsoft.Web/sites`;
const bus = `${groupId}/providers/Microsoft.ServiceBus/namespaces/sbns`;
const storage = `${groupId}/providers/Microsoft.Storage/storageAccounts`;
const topology = readTopology(topologyFile);

const output = (value: unknown) => ({ value });
const outputs = {
  apiUrl: output('https://func-api.azurewebsites.net/api'),
  functionAppNames: output(['func-api', 'func-heavy']),
  serviceBusNamespace: output('sbns.servicebus.windows.net'),
  storageAccount: output('st'),
  hostStorageAccount: output('sh'),
  identityPrincipalId: output('1111'),
};

const common = {
  AzureWebJobsStorage__accountName: 'sh',
  DATA_BLOB_URI: 'https://st.blob.core.windows.net',
  DATA_TABLE_URI: 'https://st.table.core.windows.net',
  ServiceBus__fullyQualifiedNamespace: 'sbns.servicebus.windows.net',
  CALLBACK_SECRETS: '@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/callbacks)',
  INBOX: 'events',
};
const settings: Record<string, Record<string, string>> = {
  'func-api': { ...common, API: 'on', LANES: 'urgent,standard,bulk' },
  'func-heavy': { ...common, API: 'off', LANES: 'heavy' },
};

const role = (name: string, scope: string) => {
  const id = Object.keys(roleNames).find((key) => roleNames[key] === name);
  const roleDefinitionId = `/subscriptions/0000/providers/Microsoft.Authorization/roleDefinitions/${id}`;
  return { properties: { roleDefinitionId, scope } };
};
const roles = [
  role('Monitoring Metrics Publisher', `${groupId}/providers/Microsoft.Insights/components/appi`),
  role('Storage Blob Data Owner', `${storage}/sh`),
  ...Object.entries(containers).map(([name, of]) =>
    role(of, `${storage}/st/blobServices/default/containers/${name}`),
  ),
  ...tables.map((name) =>
    role('Storage Table Data Contributor', `${storage}/st/tableServices/default/tables/${name}`),
  ),
  ...workedQueues(topology).map((name) =>
    role('Azure Service Bus Data Owner', `${bus}/queues/${name}`),
  ),
  ...topology.replies.map((name) => role('Azure Service Bus Data Sender', `${bus}/queues/${name}`)),
];

const appAnswers = (name: string): Record<string, Answer> => ({
  [`${web}/${name}`]: {
    properties: {
      state: 'Running',
      functionAppConfig: { runtime: { name: 'node', version: '22' } },
    },
  },
  [`${web}/${name}/config/appsettings/list`]: { properties: settings[name] },
  [`${web}/${name}/config/configreferences/appsettings`]: [
    {
      id: `${web}/${name}/config/configreferences/appsettings/CALLBACK_SECRETS`,
      properties: { status: 'Resolved' },
    },
  ],
  [`${web}/${name}/functions`]: functionsOf(settings[name] ?? {}, topology).map((of) => ({
    name: `${name}/${of}`,
    properties: { isDisabled: false },
  })),
});

const watched = [bus, `${storage}/st`, `${storage}/sh`, `${web}/func-api`, `${web}/func-heavy`];
const insights = 'providers/Microsoft.Insights';

/** By path without its query; a list is an array. */
export function healthyAnswers(): Record<string, Answer> {
  return {
    [`${groupId}/providers/Microsoft.Resources/deployments/longhaul`]: { properties: { outputs } },
    [`${groupId}/providers/Microsoft.Authorization/roleAssignments`]: roles,
    ...appAnswers('func-api'),
    ...appAnswers('func-heavy'),
    [`${web}/func-api/host/default/listkeys`]: { functionKeys: { default: 'a key' } },
    [`${bus}/queues`]: JSON.parse(readFileSync(topologyFile, 'utf8')).queues.map(
      ({ name, ...properties }: { name: string }) => ({
        name,
        properties: { status: 'Active', ...properties },
      }),
    ),
    [`${storage}/st/tableServices/default/tables`]: tables.map((name) => ({ name })),
    [`${storage}/st/blobServices/default/containers`]: Object.keys(containers).map((name) => ({
      name,
    })),
    ...Object.fromEntries(
      watched.map((id) => [
        `${id}/${insights}/diagnosticSettings`,
        [{ properties: { workspaceId: 'w' } }],
      ]),
    ),
    [`${groupId}/${insights}/metricAlerts`]: alertNames.metricAlerts.map((name) => ({
      name: `${name}-longhaul`,
      properties: { enabled: true, actions: [{ actionGroupId: 'ag' }] },
    })),
    [`${groupId}/${insights}/scheduledQueryRules`]: alertNames.scheduledQueryRules.map((name) => ({
      name: `${name}-longhaul`,
      properties: { enabled: true, actions: { actionGroups: ['ag'] } },
    })),
    [`${groupId}/providers/Microsoft.OperationalInsights/workspaces`]: [
      { properties: { customerId: 'c' } },
    ],
    logs: [[6]],
  };
}

export function armOf(answers: Record<string, Answer>): Arm {
  const ask = async (path: string) => {
    const [plain = ''] = path.split('?');
    if (plain in answers) return answers[plain];
    throw new Error(`GET ${plain} answered 404`);
  };
  return { get: ask, list: ask, post: ask, logs: () => ask('logs') };
}
