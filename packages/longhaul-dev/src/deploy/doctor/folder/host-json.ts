/** host.json: what is of the whole host, and decides how long and how many jobs run. */
import { toMs } from 'longhaul/internal/model/duration';
import { readHostJson } from '../../../functions-host/host/app-settings.ts';
import { none } from '../check.ts';
import type { FolderApp, FolderCheck } from './app.ts';

const longestLane = (app: FolderApp) =>
  Math.max(...app.topology().lanes.map(({ maxTimeout }) => toMs(maxTimeout)));
const minutes = (ms: number) => `${Math.round(ms / 60_000)} minutes`;

const bundle: FolderCheck = {
  name: 'bundle',
  question: 'Does host.json name an extension bundle with the Service Bus extension, version 4?',
  why: 'Without it the host knows no Service Bus trigger, and no job is ever taken.',
  todo: '"extensionBundle": { "id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)" }',
  async run({ json }) {
    const { id, version } = (json('host.json')['extensionBundle'] ?? {}) as Record<string, string>;
    none([
      ...(/^Microsoft\.Azure\.Functions\.ExtensionBundle(\.Preview)?$/.test(id ?? '')
        ? []
        : [`its id is ${id ?? 'missing'}`]),
      ...(/^[[(]4\./.test(version ?? '') ? [] : [`its version is ${version ?? 'missing'}`]),
    ]);
    return `${id} ${version}`;
  },
};

const timeouts: FolderCheck = {
  name: 'time limits',
  question: 'Does the host let a job run, and keep its lock, as long as its lane allows?',
  why: 'functionTimeout ends the process with all jobs in it. A lock that is no longer renewed hands the job out again, beside itself.',
  todo: 'In host.json set functionTimeout and extensions.serviceBus.maxAutoLockRenewalDuration above the longest maxTimeout in topology.json (the template: 02:15:00 and 02:10:00), or make the lane’s maxTimeout shorter.',
  async run(app) {
    const longest = longestLane(app);
    const { functionTimeout, extensions } = readHostJson(app.folder, app.settings());
    const { maxAutoLockRenewalDuration: renewal } = extensions.serviceBus;
    none([
      ...(functionTimeout < longest
        ? [`functionTimeout is ${minutes(functionTimeout)}, a lane allows ${minutes(longest)}`]
        : []),
      ...(renewal < longest
        ? [`maxAutoLockRenewalDuration is ${minutes(renewal)}, a lane allows ${minutes(longest)}`]
        : []),
    ]);
    return `${minutes(longest)} at most`;
  },
};

const serviceBus: FolderCheck = {
  name: 'service bus',
  question: 'Are the Service Bus settings such that jobs do not wait for each other without need?',
  why: 'Prefetched messages lose their locks while they wait; an idle session holds a place that another key could have; without autoComplete nobody answers for a function that fails early.',
  todo: 'In host.json, extensions.serviceBus: "prefetchCount": 0, "autoCompleteMessages": true, "sessionIdleTimeout": "00:00:00.500".',
  async run({ folder, settings }) {
    const { prefetchCount, autoCompleteMessages, sessionIdleTimeout, maxConcurrentCalls } =
      readHostJson(folder, settings()).extensions.serviceBus;
    none([
      ...(prefetchCount > 0 ? [`prefetchCount is ${prefetchCount}`] : []),
      ...(autoCompleteMessages ? [] : ['autoCompleteMessages is false']),
      ...(sessionIdleTimeout > 5_000
        ? [`sessionIdleTimeout is ${sessionIdleTimeout / 1000} s`]
        : []),
    ]);
    return `${maxConcurrentCalls} calls at once`;
  },
};

const prefix: FolderCheck = {
  name: 'prefix',
  question: 'Is the API where its callers look for it (/api)?',
  why: 'Links in its answers, the clients and `longhaul doctor --url` expect the prefix `api`.',
  todo: 'In host.json: "extensions": { "http": { "routePrefix": "api" } }',
  async run({ folder, settings }) {
    const { routePrefix } = readHostJson(folder, settings()).extensions.http;
    none(routePrefix === 'api' ? [] : [`routePrefix is '${routePrefix}'`]);
    return '/api/jobs';
  },
};

const loud = ['trace', 'debug', 'information'];

const levels: FolderCheck = {
  name: 'log levels',
  question: 'Does the log take what jobs say (job.log), for each queue?',
  why: 'A level above Information hushes the lines of jobs, and the sums of which the alerts are made.',
  todo: 'In host.json, logging.logLevel: "Function.work-QUEUE.User": "Information" for each queue of a lane.',
  async run(app) {
    const { logLevel } = readHostJson(app.folder, app.settings()).logging;
    const levelOf = (category: string): string => {
      const parts = category.split('.');
      for (let count = parts.length; count > 0; count--) {
        const level = logLevel[parts.slice(0, count).join('.')];
        if (level !== undefined) return level;
      }
      return logLevel['default'] ?? 'Information';
    };
    const queues = app.topology().lanes.flatMap(({ plain, keyed }) => [plain, keyed]);
    none(
      queues
        .map(
          (queue) =>
            [`Function.work-${queue}.User`, levelOf(`Function.work-${queue}.User`)] as const,
        )
        .filter(([, level]) => !loud.includes(level.toLowerCase()))
        .map(([category, level]) => `${category} is ${level}`),
    );
    return `${queues.length} queues`;
  },
};

export const hostChecks: FolderCheck[] = [bundle, timeouts, serviceBus, prefix, levels];
