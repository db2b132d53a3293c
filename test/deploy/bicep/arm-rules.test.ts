/**
 * What ARM refuses though the published types allow it, each with who says so. The first deployment is not
 * to be where we learn of it. Names are tried at their longest: `name` has 12 characters, uniqueString 13.
 * A source with (m) was not at hand when this was written: the rule is from memory.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTopology } from '#longhaul/model/topology.js';
import { durationMs } from '#service-bus/entity/settings.js';
import { root } from '../../support/stack.ts';
import { at, fileNamed, files, resourceNamed, toValue, type Value } from './read.ts';

interface App {
  name: string;
  api: boolean;
  lanes: string[];
  instanceMemoryMB: number;
  maximumInstanceCount: number;
  alwaysReady: { name: string; instanceCount: number }[];
  httpConcurrency: number;
  maxConcurrentCalls: number;
  maxConcurrentSessions: number;
  jobsAtOnce: number;
}

const topology = readTopology(new URL('../../../../topology.json', import.meta.url));
const literal = (file: string, kind: 'parameters' | 'variables', name: string): Value => {
  const body = fileNamed(file)[kind].find((declared) => declared.name === name)?.body;
  assert.ok(body, `${file}: ${name}`);
  return toValue(body);
};
const apps = literal('main.bicep', 'parameters', 'apps') as unknown as App[];
const containerApps = literal('container-apps.bicep', 'variables', 'apps') as unknown as {
  name: string;
  cpu: string;
  memory: string;
  cooldown: number;
}[];

const longest = { name: 'n'.repeat(12), suffix: 'u'.repeat(13) };
const unique = `${longest.name}-${longest.suffix}`;
const filled = (template: Value | undefined, app: { name: string } = { name: '' }) =>
  String(typeof template === 'object' && 'text' in template ? template.text : template)
    .replaceAll(/^'|'$/g, '')
    .replaceAll('$' + '{unique}', unique)
    .replaceAll('$' + '{name}', longest.name)
    .replaceAll(/\$\{(?:app|alert|endpoint)(?:\.name)?\}/g, app.name);
const nameOf = (file: string, resource: string, app?: { name: string }) =>
  filled(at(resourceNamed(file, resource), 'name'), app);

const keysOf = (file: string, resource: string, path: string): string[] => {
  const value = at(resourceNamed(file, resource), path);
  return typeof value === 'object' ? Object.keys(value) : [];
};
const settingNames = [
  ...resourceNamed('function-app.bicep', 'settings').node.text.matchAll(/^ {4}([\w:.-]+): /gm),
].map(([, name]) => name ?? '');
const seconds = (iso: unknown) => (durationMs(String(iso)) ?? 0) / 1000;

const names = 'Learn, Naming rules and restrictions for Azure resources';

test(`names fit (${names})`, () => {
  const fits = (what: string, given: string, pattern: RegExp) => assert.match(given, pattern, what);
  for (const app of apps) {
    fits('plan', nameOf('function-app.bicep', 'plan', app), /^[\w-]{1,40}$/);
    fits('site', nameOf('function-app.bicep', 'site', app), /^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$/i);
  }
  fits('bus', nameOf('service-bus.bicep', 'namespace'), /^[a-z][a-z0-9-]{4,48}[a-z0-9]$/i);
  fits('workspace', nameOf('monitoring.bicep', 'workspace'), /^[a-z0-9][a-z0-9-]{2,61}[a-z0-9]$/i);
  fits('topic', nameOf('inbox.bicep', 'topic'), /^[a-z0-9-]{3,50}$/i);
  fits('network', nameOf('network.bicep', 'network'), /^[a-z0-9][\w.-]{0,62}\w$/i);
  for (const { name } of topology.lanes) fits('lane', name, /^[a-z0-9][\w./-]{0,258}[a-z0-9]$/i);
  for (const kind of ['sh', 'st'])
    fits('account', `${kind}${longest.name}${longest.suffix}`.slice(0, 24), /^[a-z0-9]{3,24}$/);
  assert.match(
    fileNamed('main.bicep').text,
    /take\('s[ht]\$\{toLower\(replace\(name, '-', ''\)\)\}/,
  );
  for (const table of literal('storage.bicep', 'variables', 'tables') as string[])
    fits('table', table, /^[a-z][a-z0-9]{2,62}$/i);
  for (const container of literal('storage.bicep', 'variables', 'containers') as string[])
    fits('container', container, /^[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]$/);
  // (m) Learn, Container Apps, create or update: at most 32, small letters, digits, dashes.
  for (const app of containerApps)
    fits(
      'container app',
      nameOf('container-apps.bicep', 'containers', app),
      /^[a-z][a-z0-9-]{0,31}$/,
    );
});

test('hosts that share an account have ids of their own: the first 32 characters of the name (Learn, Host ID considerations, m)', () => {
  const ids = apps.map((app) => nameOf('function-app.bicep', 'site', app).slice(0, 32));
  assert.equal(new Set(ids).size, ids.length);
});

test('Flex Consumption: no property of siteConfig that it refuses (error 51021)', () => {
  const refused = [
    // microsoft/azure-pipelines-tasks#21032
    ...['ftpsState', 'use32BitWorkerProcess', 'netFrameworkVersion'],
    'functionsRuntimeScaleMonitoringEnabled',
    // Azure/azure-functions-host#10643
    'functionAppScaleLimit',
    // Azure/terraform-azurerm-avm-res-web-site#345
    ...['linuxFxVersion', 'windowsFxVersion', 'alwaysOn', 'preWarmedInstanceCount'],
  ];
  const given = keysOf('function-app.bicep', 'site', 'properties.siteConfig');
  assert.ok(given.length > 0);
  assert.deepEqual(
    given.filter((name) => refused.includes(name)),
    [],
  );
});

test('Flex Consumption: no app setting that it refuses (Learn, App settings reference, Flex Consumption plan deprecations; microsoft/vscode-azurefunctions#4761)', () => {
  const refused = [
    ...[
      'FUNCTIONS_WORKER_RUNTIME',
      'FUNCTIONS_WORKER_RUNTIME_VERSION',
      'FUNCTIONS_EXTENSION_VERSION',
    ],
    ...['FUNCTIONS_WORKER_PROCESS_COUNT', 'ENABLE_ORYX_BUILD', 'SCM_DO_BUILD_DURING_DEPLOYMENT'],
    ...['WEBSITE_RUN_FROM_PACKAGE', 'WEBSITE_CONTENTSHARE', 'WEBSITE_CONTENTOVERVNET'],
    ...[
      'WEBSITE_CONTENTAZUREFILECONNECTIONSTRING',
      'WEBSITE_VNET_ROUTE_ALL',
      'WEBSITE_TIME_ZONE',
      'TZ',
    ],
    ...['WEBSITE_NODE_DEFAULT_VERSION', 'WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT'],
  ];
  assert.ok(settingNames.length > 15);
  for (const name of settingNames) {
    assert.ok(!refused.includes(name), name);
    // Azure/azure-functions-host#11908: a colon is refused, with an error about another setting.
    assert.match(name, /^\w+$/);
    // Azure/azure-functions-host, WebHostRpcWorkerChannelManager: they cost the prewarmed worker.
    assert.doesNotMatch(name, /^languageWorkers__/);
  }
});

test('Flex Consumption: sizes, counts and scale groups (Azure/azure-functions-core-tools, stacks.json; Learn, Flex Consumption plan)', () => {
  const functions = topology.lanes.flatMap(({ plain, keyed }) => [plain, keyed]);
  const groups = ['http', 'blob', 'durable', ...functions.map((name) => `function:work-${name}`)];
  for (const app of apps) {
    assert.ok([512, 2048, 4096].includes(app.instanceMemoryMB), app.name);
    assert.ok(app.maximumInstanceCount >= 40 && app.maximumInstanceCount <= 1000, app.name);
    // (m) Learn, Concurrency in Azure Functions.
    assert.ok(app.httpConcurrency >= 1 && app.httpConcurrency <= 1000, app.name);
    for (const { name, instanceCount } of app.alwaysReady) {
      assert.ok(groups.includes(name), name);
      assert.ok(instanceCount <= app.maximumInstanceCount);
    }
  }
  const { text } = fileNamed('function-app.bicep');
  assert.match(text, /triggers: \{ http: \{ perInstanceConcurrency: app\.httpConcurrency \} \}/);
  // Azure/azure-rest-api-specs#40898: 512 is refused by versions before 2025.
  assert.match(text, /Microsoft\.Web\/sites@2025-/);
  const allowed = /@allowed\(\[([^\]]+)\]\)\s*param nodeVersion/.exec(fileNamed('main.bicep').text);
  assert.deepEqual(allowed?.[1]?.match(/\d+/g), ['22', '24']);
  assert.equal(at(resourceNamed('function-app.bicep', 'plan'), 'properties.reserved'), true);
});

test('Flex Consumption: the subnet is delegated, not named with an underscore, and large enough (Learn, Flex Consumption plan, networking, m)', () => {
  const subnets = resourceNamed('network.bicep', 'appSubnets');
  assert.match(subnets.node.text, /serviceName: 'Microsoft\.App\/environments'/);
  for (const app of apps) assert.doesNotMatch(nameOf('network.bicep', 'appSubnets', app), /_/);
  assert.match(String(filled(at(subnets, 'properties.addressPrefix'))), /\/24$/);
});

test('Service Bus: limits of a queue (Learn, Service Bus quotas; Microsoft.ServiceBus/namespaces/queues)', () => {
  const { queues } = JSON.parse(readFileSync(join(root, 'topology.json'), 'utf8')) as {
    queues: Record<string, unknown>[];
  };
  for (const queue of queues) {
    const of = String(queue['name']);
    assert.ok(seconds(queue['lockDuration']) > 0 && seconds(queue['lockDuration']) <= 300, of);
    const window = seconds(queue['duplicateDetectionHistoryTimeWindow']);
    assert.ok(window >= 20 && window <= 7 * 86_400, of);
    assert.ok(Number(queue['maxDeliveryCount']) >= 1 && Number(queue['maxDeliveryCount']) <= 2_000);
    assert.ok(seconds(queue['defaultMessageTimeToLive']) >= 5, of);
  }
  const size = at(resourceNamed('service-bus.bicep', 'all'), 'properties.maxSizeInMegabytes');
  assert.ok([1024, 2048, 3072, 4096, 5120].includes(Number(size)));
});

test('Service Bus: a namespace is private only in the Premium tier, whose capacity is a multiple of its partitions (Learn, Premium messaging, m)', () => {
  const { text } = fileNamed('service-bus.bicep');
  assert.match(text, /capacity: messagingUnits \* messagingPartitions/);
  assert.match(text, /premiumMessagingPartitions: premium \? messagingPartitions : null/);
  assert.match(fileNamed('main.bicep').text, /Needs premiumServiceBus\./);
});

test('alerts: windows and periods fit each other (Learn, Create metric alerts with dynamic thresholds; scheduledQueryRules, m)', () => {
  const windows = [60, 300, 900, 1800, 3600, 21_600, 43_200, 86_400];
  for (const { resources } of files)
    for (const rule of resources.filter(({ of }) => /metricAlerts|scheduledQueryRules/.test(of))) {
      const [every, window] = ['evaluationFrequency', 'windowSize'].map((name) =>
        seconds(at(rule, `properties.${name}`)),
      );
      assert.ok(every && window && window >= every, rule.name);
      assert.ok(windows.includes(window), rule.name);
      const { text } = rule.node;
      // A dynamic threshold is not evaluated every minute.
      if (text.includes('DynamicThreshold')) assert.ok(every >= 300, rule.name);
      const [, of] = /numberOfEvaluationPeriods: (\d)/.exec(text) ?? [];
      const [, failing] = /minFailingPeriodsToAlert: (\d)/.exec(text) ?? [];
      if (of && failing) assert.ok(Number(failing) <= Number(of), rule.name);
      // One that ends by itself is not muted as well.
      if (text.includes('autoMitigate: true')) assert.doesNotMatch(text, /muteActionsDuration/);
      // Counting rows takes no column, anything else does.
      if (rule.of.includes('scheduledQueryRules'))
        assert.equal(
          text.includes("timeAggregation: 'Count'"),
          !text.includes('metricMeasureColumn'),
          rule.name,
        );
    }
  const short = at(resourceNamed('monitoring.bicep', 'team'), 'properties.groupShortName');
  assert.ok(String(short).length <= 12, 'Microsoft.Insights/actionGroups');
});

test('global things are global (Learn, Azure Monitor and private DNS templates, m)', () => {
  for (const { resources } of files)
    for (const declared of resources)
      if (/metricAlerts|actionGroups|privateDnsZones/.test(declared.of) && !declared.isExisting)
        assert.equal(at(declared, 'location'), 'global', declared.name);
});

test('a role assignment says what it is for, as a new identity is not known everywhere at once (Learn, Assign Azure roles by Bicep, m)', () => {
  for (const { resources } of files)
    for (const declared of resources.filter(({ of }) => of.includes('roleAssignments'))) {
      assert.equal(at(declared, 'properties.principalType'), 'ServicePrincipal', declared.name);
      assert.match(filled(at(declared, 'name')), /^guid\(/);
    }
});

test('Event Grid: retries within its bounds (Learn, Event Grid delivery and retry, m)', () => {
  const policy = at(resourceNamed('inbox.bicep', 'subscription'), 'properties.retryPolicy');
  const { maxDeliveryAttempts: tries, eventTimeToLiveInMinutes: minutes } = policy as {
    maxDeliveryAttempts: number;
    eventTimeToLiveInMinutes: number;
  };
  assert.ok(tries >= 1 && tries <= 30 && minutes >= 1 && minutes <= 1440);
});

test('Container Apps: memory is twice the cores, grace at most ten minutes (Learn, Containers in Container Apps; Microsoft.App types)', () => {
  for (const { name, cpu, memory } of containerApps)
    assert.equal(memory, `${Number(cpu) * 2}Gi`, name);
  const containers = resourceNamed('container-apps.bicep', 'containers');
  const grace = at(containers, 'properties.template.terminationGracePeriodSeconds');
  assert.ok(Number(grace) <= 600);
});
