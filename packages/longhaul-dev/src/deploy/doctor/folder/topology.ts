/** topology.json by itself, and beside what Bicep makes of it. */
import { none, Skipped } from '../check.ts';
import type { FolderCheck } from './app.ts';

interface Queue {
  name: string;
  requiresSession: boolean;
  requiresDuplicateDetection?: boolean;
}

const queues: FolderCheck = {
  name: 'topology',
  question:
    'Does topology.json name each queue that its lanes and replies need, made as they need it?',
  why: 'Sessions and duplicate detection cannot be changed once a queue is there. Without the first keys are not kept apart, without the second a job may run twice.',
  todo: 'Correct topology.json: a lane has a queue without sessions (plain) and one with (keyed), both with duplicate detection; completions has sessions. The one of Longhaul is the model.',
  async run(app) {
    const { lanes, completions, replies, inbox } = app.topology();
    const all = (app.json('topology.json')['queues'] ?? []) as Queue[];
    const names = lanes.map(({ name }) => name);
    const find = (name: string) => all.find((queue) => queue.name === name);
    const wants = (name: string, sessions: boolean): string[] => {
      const queue = find(name);
      if (!queue) return [`no queue ${name}`];
      return [
        ...(queue.requiresSession === sessions
          ? []
          : [`${name} ${sessions ? 'needs' : 'must not have'} requiresSession`]),
        ...(queue.requiresDuplicateDetection ? [] : [`${name} needs requiresDuplicateDetection`]),
      ];
    };
    none([
      ...twice(names).map((name) => `two lanes ${name}`),
      ...twice(all.map(({ name }) => name)).map((name) => `two queues ${name}`),
      ...lanes.flatMap(({ plain, keyed }) => [...wants(plain, false), ...wants(keyed, true)]),
      ...wants(completions, true),
      ...[...replies, inbox].filter((name) => !find(name)).map((name) => `no queue ${name}`),
    ]);
    return `lanes ${names.join(', ')}`;
  },
};

const twice = (names: readonly string[]) => names.filter((name, at) => names.indexOf(name) !== at);

const bicep: FolderCheck = {
  name: 'bicep',
  question: 'Does each lane belong to one app in bicep/main.bicep, and one of them have the API?',
  why: 'A lane that no app works takes jobs in and never runs them. Two apps with the API run each schedule’s timer twice.',
  todo: 'In `param apps` of bicep/main.bicep name each lane of topology.json in the `lanes` of one app, and `api: true` in one.',
  after: 'topology',
  async run(app) {
    const text = app.read('bicep/main.bicep');
    if (text === undefined) throw new Skipped('there is no bicep/main.bicep');
    const apps = /^param apps array = \[\n(.*?)^\]/ms.exec(text)?.[1];
    if (apps === undefined) throw new Skipped('bicep/main.bicep has no `param apps array`');
    const served = [...apps.matchAll(/^\s*lanes: \[(.*?)\]/gms)].flatMap(([, list = '']) =>
      [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name),
    );
    const apis = [...apps.matchAll(/^\s*api: true/gm)].length;
    const lanes = app.topology().lanes.map(({ name }) => name);
    none([
      ...lanes.filter((lane) => !served.includes(lane)).map((lane) => `no app works ${lane}`),
      ...twice(served).map((lane) => `two apps work ${lane}`),
      ...served
        .filter((lane) => !lanes.includes(lane))
        .map((lane) => `topology.json has no ${lane}`),
      ...(apis === 1 ? [] : [`${apis} apps have api: true, instead of one`]),
    ]);
    return `${served.length} lanes`;
  },
};

export const topologyChecks: FolderCheck[] = [queues, bicep];
