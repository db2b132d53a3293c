/** The Function Apps as Azure has them: state, runtime, functions, and whether anybody watches. */
import type { Topology } from 'longhaul/internal/model/topology';
import { heartbeat } from 'longhaul/internal/triggers/timers';
import { type Check, none, Skipped } from './check.ts';
import { accountId, appsOf, busId, settingsOf, siteId, webVersion } from './group.ts';
import { groupOf } from './site.ts';

/** Of one app, by its settings; of HTTP one stands for all. */
export function functionsOf(
  { LANES = '', API = 'on', INBOX = 'scan' }: Record<string, string>,
  { lanes }: Topology,
): string[] {
  const served = LANES.split(',').map((lane) => lane.trim());
  return [
    ...lanes
      .filter(({ name }) => served.includes(name))
      .flatMap(({ plain, keyed }) => [`work-${plain}`, `work-${keyed}`]),
    ...['health-live', 'health-ready'],
    ...(API === 'on'
      ? ['jobs', 'take-completions', 'run-schedules', 'remove-expired', 'watch-dead-letters']
      : []),
    ...(API === 'on' && INBOX !== 'off' ? ['start-from-inbox'] : []),
  ];
}

const running: Check = {
  name: 'apps',
  question: 'Are the apps running, on the runtime of the template?',
  todo: 'az functionapp start --name APP --resource-group GROUP. A runtime that Flex Consumption does not offer in this region: nodeVersion=22.',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const problems: string[] = [];
    const versions = new Set<string>();
    for (const app of appsOf(group)) {
      const { properties } = await group.arm.get(siteId(group, app), webVersion);
      if (properties.state !== 'Running') problems.push(`${app} is ${properties.state}`);
      const { name, version } = properties.functionAppConfig?.runtime ?? {};
      versions.add(`${name} ${version}`);
      if (name !== 'node') problems.push(`${app} has the runtime ${name}`);
    }
    none(problems);
    return [...versions].join(', ');
  },
};

const functions: Check = {
  name: 'functions',
  question: 'Has each app the functions that its settings ask for, enabled?',
  todo: 'None at all: the package was not published, or its code does not start (exceptions in Application Insights name the setting). One disabled: delete the setting AzureWebJobs.NAME.Disabled. After a change of LANES or API the platform needs a minute to see it.',
  after: 'settings',
  async run(site) {
    const group = groupOf(site);
    const problems: string[] = [];
    let count = 0;
    for (const app of appsOf(group)) {
      const found = await group.arm.list(`${siteId(group, app)}/functions`, webVersion);
      const byName = new Map(
        found.map(({ name, properties }) => [name.split('/').at(-1), properties]),
      );
      for (const name of functionsOf(await settingsOf(group, app), site.topology)) {
        count++;
        if (!byName.has(name)) problems.push(`${app} has no ${name}`);
        else if (byName.get(name).isDisabled) problems.push(`${app}: ${name} is disabled`);
      }
    }
    none(problems);
    return `${count} looked for`;
  },
};

const diagnostics: Check = {
  name: 'diagnostics',
  question:
    'Do metrics and logs of bus, storage and apps go to the workspace? (Diagnostic settings on Flex Consumption.)',
  todo: 'Deploy the template again; where the platform refuses the setting for an app, its metrics are in the portal all the same.',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const watched = [
      busId(group),
      accountId(group, group.outputs['storageAccount']),
      accountId(group, group.outputs['hostStorageAccount']),
      ...appsOf(group).map((app) => siteId(group, app)),
    ];
    const problems: string[] = [];
    for (const id of watched) {
      const path = `${id}/providers/Microsoft.Insights/diagnosticSettings`;
      const found = await group.arm.list(path, '2021-05-01-preview');
      if (!found.some(({ properties }) => properties.workspaceId))
        problems.push(`${id.split('/').at(-1)} sends nothing to a workspace`);
    }
    none(problems);
    return `${watched.length} resources`;
  },
};

// Of bicep/alerts.bicep; a test holds the two together.
export const alertNames = {
  metricAlerts: ['dead-letters', 'throttled', 'queue-growing'],
  scheduledQueryRules: ['failure-rate', 'scheduler-silent'],
};

const alerts: Check = {
  name: 'alerts',
  question: 'Is each alert there, enabled, and does it tell somebody?',
  todo: 'Deploy the template again, with alertEmail=… so that somebody is told.',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const versions = { metricAlerts: '2018-03-01', scheduledQueryRules: '2023-12-01' };
    const problems: string[] = [];
    for (const [kind, names] of Object.entries(alertNames)) {
      const path = `${group.id}/providers/Microsoft.Insights/${kind}`;
      const found = await group.arm.list(path, versions[kind as keyof typeof versions]);
      for (const name of names) {
        const alert = found.find((one) => one.name.startsWith(`${name}-`))?.properties;
        const told = [alert?.actions ?? []].flat().flatMap((a) => a.actionGroups ?? a);
        if (!alert) problems.push(`there is no ${name}`);
        else if (!alert.enabled) problems.push(`${name} is disabled`);
        else if (told.length === 0) problems.push(`${name} tells nobody`);
      }
    }
    none(problems);
    return Object.values(alertNames).flat().join(', ');
  },
};

const logs: Check = {
  name: 'logs',
  question:
    'Do the lines that the alerts look for arrive? (Log levels, ingestion by the identity.)',
  todo: "A new deployment needs some ten minutes. Then: the identity's role Monitoring Metrics Publisher on Application Insights, APPLICATIONINSIGHTS_AUTHENTICATION_STRING, the daily quota of the workspace, logging.logLevel of host.json.",
  after: 'functions',
  async run(site) {
    const group = groupOf(site);
    const path = `${group.id}/providers/Microsoft.OperationalInsights/workspaces`;
    const [workspace] = await group.arm.list(path, '2025-07-01');
    if (!workspace) throw new Skipped('there is no workspace in this group');
    const query = `AppTraces | where TimeGenerated > ago(30m) | where Message startswith "${heartbeat}" | count`;
    const [[count] = []] = await group.arm.logs(workspace.properties.customerId, query);
    if (!(count > 0)) throw new Error(`no line "${heartbeat}" in half an hour`);
    return `${count} heartbeats in half an hour`;
  },
};

export const appChecks: Check[] = [running, functions];
export const watchChecks: Check[] = [diagnostics, alerts, logs];
