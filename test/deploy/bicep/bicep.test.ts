/**
 * The template as text: nobody here can compile or deploy it. With `bicep` on the path it is compiled
 * and linted; with BICEP_TYPES (a folder) it is held against the resource types.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inboxContainer, ownContainer } from '#longhaul/azure/blobs.js';
import { readTopology } from '#longhaul/model/topology.js';
import { readSettings } from '#longhaul/settings.js';
import { tallyPrefix } from '#longhaul/tally.js';
import { heartbeat } from '#longhaul/triggers/timers.js';
import { root } from '../../support/stack.ts';
import {
  at,
  type Declaration,
  fileNamed,
  files,
  folder,
  propertiesOf,
  resourceNamed,
  toValue,
  type Value,
} from './read.ts';
import { checkTypes } from './types.ts';

const topology = readTopology(new URL('../../../../topology.json', import.meta.url));
const text = (value: Value | undefined) =>
  typeof value === 'object' && 'text' in value ? value.text : value;
const all = files.flatMap(({ resources }) => resources.filter(({ isExisting }) => !isExisting));
const ofType = (type: string) => all.filter(({ of }) => of.startsWith(`${type}@`));
const apps = toValue(
  fileNamed('main.bicep').parameters.find(({ name }) => name === 'apps')?.body as never,
) as { name: string; api: boolean; lanes: string[] }[];

test('every file is Bicep, and every declared name is used', () => {
  for (const file of files) {
    assert.equal(file.problem, undefined);
    for (const { name } of [...file.parameters, ...file.variables]) {
      const times = file.text.match(new RegExp(`\\b${name}\\b`, 'g'))?.length ?? 0;
      assert.ok(times > 1, `${file.name}: ${name} is not used`);
    }
  }
});

const compiler = spawnSync('bicep', ['--version']).status === 0;
test('compiles and lints without a warning', { skip: !compiler && 'no Bicep CLI here' }, () => {
  execFileSync('bicep', ['build', '--stdout', join(folder, 'main.bicep')], { maxBuffer: 2 ** 28 });
  const lint = spawnSync('bicep', ['lint', join(folder, 'main.bicep')], { encoding: 'utf8' });
  assert.equal(lint.status, 0, lint.stderr);
  assert.doesNotMatch(lint.stderr, /warning|error/i);
});

const types = process.env['BICEP_TYPES'];
test('agrees with the resource types', {
  skip: !types && 'set BICEP_TYPES, see docs/deploy.md',
}, () => {
  assert.deepEqual(
    files.flatMap((file) => checkTypes(file, types ?? '')),
    [],
  );
});

test('a module is given what it asks for, and nothing else', () => {
  for (const { modules, name } of files)
    for (const { of, body } of modules) {
      assert.ok(body, name);
      const object = body.type === 'object' ? body : body.descendantsOfType('object')[0];
      const given = propertiesOf(object as never).find(([property]) => property === 'params')?.[1];
      const names = propertiesOf(given as never).map(([parameter]) => parameter);
      assert.deepEqual(
        names.sort(),
        fileNamed(of)
          .parameters.map((p) => p.name)
          .sort(),
        of,
      );
    }
});

test('what is taken from a module is one of its outputs', () => {
  const main = fileNamed('main.bicep');
  for (const { name, of } of main.modules) {
    const outputs = fileNamed(of).outputs.map((output) => output.name);
    for (const [, used] of main.text.matchAll(
      new RegExp(`\\b${name}(?:\\[\\w+\\])?!?\\.outputs\\.(\\w+)`, 'g'),
    ))
      assert.ok(outputs.includes(used ?? ''), `${name}.outputs.${used}`);
  }
});

test('the parameters file names parameters that there are', () => {
  const given = JSON.parse(readFileSync(join(folder, 'main.parameters.json'), 'utf8')).parameters;
  const declared = fileNamed('main.bicep').parameters.map(({ name }) => name);
  for (const name of Object.keys(given)) assert.ok(declared.includes(name), name);
});

test('stable API versions only, but for diagnostic settings', () => {
  for (const { of } of files.flatMap(({ resources }) => resources))
    if (!of.startsWith('Microsoft.Insights/diagnosticSettings@'))
      assert.doesNotMatch(of, /preview/);
});

test('every queue of topology.json, with every setting it has there', () => {
  const queues = resourceNamed('service-bus.bicep', 'all');
  assert.match(queues.node.text, /\[for queue in queues:/);
  assert.match(fileNamed('main.bicep').text, /queues: topology\.queues/);
  const [first] = JSON.parse(readFileSync(join(root, 'topology.json'), 'utf8')).queues;
  for (const setting of Object.keys(first).filter((name) => name !== 'name'))
    assert.equal(text(at(queues, `properties.${setting}`)), `queue.${setting}`);
});

test('what Azure fixes when a queue is made does not change under its name', () => {
  const plain = ['urgent', 'standard', 'bulk', 'heavy', 'replies'];
  const keyed = [
    'urgent-keyed',
    'standard-keyed',
    'bulk-keyed',
    'heavy-keyed',
    'completions',
    'replies-keyed',
  ];
  const { queues } = JSON.parse(readFileSync(join(root, 'topology.json'), 'utf8')) as {
    queues: { name: string; requiresSession: boolean; requiresDuplicateDetection: boolean }[];
  };
  const fixed = Object.fromEntries(
    queues.map((queue) => [queue.name, [queue.requiresSession, queue.requiresDuplicateDetection]]),
  );
  assert.deepEqual(fixed, {
    ...Object.fromEntries(plain.map((name) => [name, [false, true]])),
    ...Object.fromEntries(keyed.map((name) => [name, [true, true]])),
    inbox: [false, false],
  });
});

test('the tables and containers of the code', () => {
  const { variables } = fileNamed('storage.bicep');
  const list = (name: string) => toValue(variables.find((v) => v.name === name)?.body as never);
  const code = readFileSync(join(root, 'packages/longhaul/src/app.ts'), 'utf8');
  const tables = [...code.matchAll(/account\.table\('(\w+)'\)/g)].map(([, name]) => name);
  assert.ok(tables.length > 0);
  assert.deepEqual(list('tables'), tables);
  const roles = fileNamed('roles.bicep').variables;
  const tablesOfRoles = roles.find((v) => v.name === 'tables')?.body;
  assert.deepEqual(toValue(tablesOfRoles as never), tables);
  for (const name of [ownContainer, inboxContainer])
    assert.ok((list('containers') as string[]).includes(name));
});

test('the settings of each app are those that the code reads, and start it', () => {
  const settings = resourceNamed('function-app.bicep', 'settings');
  const given = [...settings.node.text.matchAll(/^ {4}(\w+): /gm)].map(([, name]) => name ?? '');
  const set = Object.fromEntries(given.map((name) => [name, 'x']));
  const uri = 'https://a.blob.core.windows.net';
  const read = readSettings({
    ...set,
    AzureWebJobsStorage__blobServiceUri: uri,
    AzureWebJobsStorage__tableServiceUri: uri,
    DATA_BLOB_URI: uri,
    DATA_TABLE_URI: uri,
    CALLBACK_SECRETS: `a.example=whsec_${Buffer.alloc(32).toString('base64')}`,
    OUTBOUND_HEADERS: '{}',
    API: 'on',
    INBOX: String(/INBOX: '(\w+)'/.exec(settings.node.text)?.[1]),
    JOBS_AT_ONCE: '2',
    CALLBACK_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}`,
  });
  assert.equal(read.INBOX, 'events');
  for (const name of ['ServiceBus', 'AzureWebJobsStorage'])
    for (const part of ['__credential', '__clientId']) assert.ok(given.includes(name + part));
  // Flex Consumption refuses these, or `func` does.
  for (const name of [
    'FUNCTIONS_WORKER_RUNTIME',
    'FUNCTIONS_EXTENSION_VERSION',
    'WEBSITE_RUN_FROM_PACKAGE',
    'SCM_DO_BUILD_DURING_DEPLOYMENT',
  ])
    assert.ok(!given.includes(name), name);
});

test('every lane has one app, and one app, the first, is the API', () => {
  assert.deepEqual(
    apps.flatMap(({ lanes }) => lanes),
    topology.lanes.map(({ name }) => name),
  );
  assert.deepEqual(
    apps.map(({ api }) => api),
    [true, false],
  );
});

test('each role by its id, at the narrowest scope', () => {
  // learn.microsoft.com/azure/role-based-access-control/built-in-roles
  const ids = {
    blob: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b', // Storage Blob Data Owner
    contributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe', // Storage Blob Data Contributor
    reader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1', // Storage Blob Data Reader
    table: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3', // Storage Table Data Contributor
    owner: '090c5cfd-751d-490a-894a-3ce6f1109419', // Azure Service Bus Data Owner
    sender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39', // Azure Service Bus Data Sender
    publisher: '3913510d-42f4-4e42-8a64-420c390055eb', // Monitoring Metrics Publisher
  };
  const roles = fileNamed('roles.bicep').text;
  const used = [...roles.matchAll(/'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'/g)].map(
    ([, id]) => id,
  );
  assert.deepEqual(new Set(used), new Set(Object.values(ids)));
  const scopes = ofType('Microsoft.Authorization/roleAssignments').map((role) =>
    text(at(role, 'scope')),
  );
  assert.deepEqual(scopes, [
    ...['hostAccount', 'containers[index]', 'storedTables[index]'],
    ...['worked[index]', 'replies[index]', 'component'],
  ]);
});

test('a token is not enough: it is one of an application that is named', () => {
  const auth = resourceNamed('function-app.bicep', 'auth');
  const applications = at(
    auth,
    'properties.identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy.allowedApplications',
  );
  assert.equal(
    text(applications),
    'empty(entraAllowedApplications) ? [entraClientId] : entraAllowedApplications',
  );
});

test('what jobs can name lies in another account than the keys of the host', () => {
  const { text: app } = fileNamed('function-app.bicep');
  assert.match(app, /AzureWebJobsStorage__blobServiceUri: hostStorage\./);
  assert.match(app, /DATA_BLOB_URI: storage\./);
  assert.doesNotMatch(fileNamed('storage.bicep').text, /packageContainers/);
});

test('no secret: keys are off, none is read, none is put out', () => {
  const is = (declared: Declaration | undefined, expected: Record<string, Value>) => {
    for (const [path, value] of Object.entries(expected))
      assert.deepEqual(at(declared, `properties.${path}`), value, `${declared?.name}.${path}`);
  };
  is(resourceNamed('service-bus.bicep', 'namespace'), {
    disableLocalAuth: true,
    minimumTlsVersion: '1.2',
  });
  for (const file of ['storage.bicep', 'host-storage.bicep'])
    is(resourceNamed(file, 'account'), {
      allowSharedKeyAccess: false,
      allowBlobPublicAccess: false,
      allowCrossTenantReplication: false,
      minimumTlsVersion: 'TLS1_2',
      supportsHttpsTrafficOnly: true,
    });
  is(resourceNamed('monitoring.bicep', 'component'), { DisableLocalAuth: true });
  is(resourceNamed('monitoring.bicep', 'workspace'), { 'features.disableLocalAuth': true });
  is(resourceNamed('function-app.bicep', 'site'), {
    httpsOnly: true,
    'siteConfig.minTlsVersion': '1.2',
  });
  is(resourceNamed('function-app.bicep', 'noBasicAuth'), { allow: false });
  // Flex Consumption refuses it (ARM error 51021).
  for (const { name, text: source } of files) assert.doesNotMatch(source, /^\s*ftpsState:/m, name);
  for (const { name, text: source } of files)
    assert.doesNotMatch(
      source,
      /listKeys|listSecrets|SharedAccessKey|AccountKey|\.primaryKey/i,
      name,
    );
});

test('nothing public that need not be', () => {
  const whenPrivate = { text: "private ? 'Disabled' : 'Enabled'" };
  for (const [file, name] of [
    ['service-bus.bicep', 'namespace'],
    ['storage.bicep', 'account'],
    ['host-storage.bicep', 'account'],
  ] as const)
    assert.deepEqual(at(resourceNamed(file, name), 'properties.publicNetworkAccess'), whenPrivate);
  const containers = resourceNamed('storage.bicep', 'blobContainers');
  assert.equal(at(containers, 'properties.publicAccess'), 'None');
  const site = resourceNamed('function-app.bicep', 'site');
  assert.equal(
    text(at(site, 'properties.siteConfig.ipSecurityRestrictionsDefaultAction')),
    "app.api ? 'Allow' : 'Deny'",
  );
  assert.equal(ofType('Microsoft.Network/publicIPAddresses').length, 0);
  const zones = fileNamed('network.bicep').text;
  for (const group of ['blob', 'queue', 'table', 'namespace'])
    assert.match(zones, new RegExp(`group: '${group}'`));
});

test('an alert for dead letters, throttling, growth, failures and a silent scheduler, each with an action', () => {
  const { text: alerts } = fileNamed('alerts.bicep');
  for (const metric of [
    'DeadletteredMessages',
    'ThrottledRequests',
    'ActiveMessages',
    'NamespaceCpuUsage',
  ])
    assert.match(alerts, new RegExp(`metric(Name)?: '${metric}'`));
  assert.ok(alerts.includes(`Message startswith "${heartbeat}"`));
  const query = readFileSync(join(folder, 'failure-rate.kql'), 'utf8');
  assert.ok(query.includes(`Message startswith "${tallyPrefix}"`));
  assert.ok(query.includes(`"${tallyPrefix} " counts`));
  for (const type of ['Microsoft.Insights/metricAlerts', 'Microsoft.Insights/scheduledQueryRules'])
    for (const alert of ofType(type)) assert.ok(at(alert, 'properties.actions'), alert.name);
  const handbook = readFileSync(join(root, 'docs/operate.md'), 'utf8');
  for (const [, chapter] of alerts.matchAll(/docs\/operate\.md: (\w[\w ]*)\./g))
    assert.ok(handbook.includes(`## ${chapter}`), chapter);
});

test('the workbook asks for lines that the code writes', () => {
  const workbook = JSON.parse(readFileSync(join(folder, 'workbook.json'), 'utf8'));
  const queries = workbook.items
    .map((item: { content: { query?: string } }) => item.content.query ?? '')
    .join('\n');
  assert.ok(queries.includes(`${tallyPrefix} `));
  assert.ok(queries.includes(heartbeat));
  for (const state of ['succeeded', 'failed', 'cancelled', 'expired'])
    assert.ok(queries.includes(`of.${state}`));
});
