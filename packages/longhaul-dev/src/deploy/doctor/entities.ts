/** Queues, tables and containers against what the code expects. */
import { readFileSync } from 'node:fs';
import { durationMs } from 'longhaul-service-bus/internal/entity/settings';
import { type Check, none } from './check.ts';
import { accountId, busId, containers, tables } from './group.ts';
import { clientsAt, groupOf, type Site, topologyFile } from './site.ts';

type Queue = Record<string, unknown> & { name: string };
const wanted = (): Queue[] => JSON.parse(readFileSync(topologyFile, 'utf8')).queues;

/** One duration can be written in several ways: P1D, PT24H. */
function same(a: unknown, b: unknown): boolean {
  const [x, y] = [a, b].map((value) => durationMs(String(value)));
  return x === undefined || y === undefined ? a === b : x === y;
}

async function compared(site: Site): Promise<string[]> {
  const group = groupOf(site);
  const found = await group.arm.list(`${busId(group)}/queues`, '2024-01-01');
  return wanted().flatMap(({ name, ...settings }) => {
    const queue = found.find((one) => one.name === name);
    if (!queue) return [`there is no queue ${name}`];
    const { properties } = queue;
    const other = Object.entries(settings)
      .filter(([setting, value]) => !same(properties[setting], value))
      .map(([setting, value]) => `${name}.${setting} is ${properties[setting]}, not ${value}`);
    return properties.status === 'Active' ? other : [...other, `${name} is ${properties.status}`];
  });
}

/** Without Azure: whether each can be looked into. */
async function lookedInto(site: Site): Promise<string[]> {
  const { serviceBus } = clientsAt(site);
  const problems = await Promise.all(
    wanted().map(async ({ name }) => {
      const receiver = serviceBus.createReceiver(name);
      try {
        await receiver.peekMessages(1);
        return [];
      } catch (error) {
        return [`${name}: ${(error as Error).message}`];
      } finally {
        await receiver.close();
      }
    }),
  );
  return problems.flat();
}

const queues: Check = {
  name: 'queues',
  question: 'Are the queues those of topology.json?',
  todo: 'Deploy the template again. requiresSession and requiresDuplicateDetection are fixed when a queue is made: add one under a new name and drain the old (docs/deploy.md).',
  async run(site) {
    none(await (site.group ? compared(site) : lookedInto(site)));
    return `${wanted().length} queues`;
  },
};

const stores: Check = {
  name: 'stores',
  question: 'Are the tables and containers there, which the apps may not make?',
  todo: 'Deploy the template again (bicep/storage.bicep).',
  after: 'deployment',
  async run(site) {
    const group = groupOf(site);
    const account = accountId(group, group.outputs['storageAccount']);
    const names = async (path: string) =>
      (await group.arm.list(`${account}/${path}`, '2025-06-01')).map(({ name }) => String(name));
    const found = [
      ...(await names('tableServices/default/tables')),
      ...(await names('blobServices/default/containers')),
    ];
    const all = [...tables, ...Object.keys(containers)];
    none(all.filter((name) => !found.includes(name)).map((name) => `there is no ${name}`));
    return all.join(', ');
  },
};

export const entityChecks: Check[] = [queues, stores];
