/** The compiled app, loaded by the local worker as Azure's loads it; then what it registered. */
import { startChild } from 'longhaul-service-bus/internal/child';
import type { FunctionMetadata } from '../../../functions-host/worker/core-module.ts';
import type { LoadedApp } from '../../../functions-host/worker-channel.ts';
import { none } from '../check.ts';
import type { FolderApp, FolderCheck } from './app.ts';

const loaded = new WeakMap<FolderApp, FunctionMetadata[]>();

/** In a process of its own, which ends; storage and Service Bus are nowhere. */
async function load(app: FolderApp): Promise<FunctionMetadata[]> {
  const worker = new URL('../../../functions-host/worker/worker-process.js', import.meta.url);
  const child = await startChild<LoadedApp>('The worker', worker, ['--root', app.folder], {
    env: Object.fromEntries(
      Object.entries(app.settings()).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])),
    ),
    serialization: 'advanced',
  });
  child.process.kill('SIGKILL');
  return child.ready.functions as FunctionMetadata[];
}

const entry: FolderCheck = {
  name: 'entry',
  question: 'Does the compiled app load, and register its functions?',
  why: 'What fails here fails in Azure at the start of each instance, and no job runs.',
  todo: 'What is wrong stands above. After a change: npm run build.',
  after: 'main',
  async run(app) {
    const functions = await load(app);
    loaded.set(app, functions);
    const { length } = functions.filter(({ name }) => name.startsWith('work-'));
    none(length > 0 ? [] : ['it registers no queue of a lane: does it call registerApp?']);
    return `${functions.length} functions`;
  },
};

/** Methods and route of an HTTP function; parameters have any name. */
function routesOf({ name, bindings }: FunctionMetadata): string[] {
  const http = Object.values(bindings).find(({ type }) => type.toLowerCase() === 'httptrigger');
  if (!http) return [];
  const route = String(http['route'] ?? name).replace(/\{[^}]*\}/g, '{}');
  const methods = (http['methods'] ?? []) as string[];
  return (methods.length > 0 ? methods : ['GET', 'POST']).map(
    (method) => `${method.toUpperCase()} /${route}`,
  );
}

const routes: FolderCheck = {
  name: 'routes',
  question: 'Has each function a name, and each HTTP function a route, of its own?',
  why: 'Longhaul’s API has jobs, schedules, events and others; of two functions on one route the host takes either.',
  todo: 'Give your own function another `route` or name.',
  after: 'entry',
  async run(app) {
    const functions = loaded.get(app) ?? [];
    const names = functions.map(({ name }) => name.toLowerCase());
    const all = functions.flatMap(routesOf);
    const twice = (list: readonly string[]) => list.filter((one, at) => list.indexOf(one) !== at);
    none([
      ...twice(names).map((name) => `two functions ${name}`),
      ...twice(all).map((route) => `two functions at ${route}`),
    ]);
    return `${all.length} routes`;
  },
};

export const entryChecks: FolderCheck[] = [entry, routes];
