/** Node, package.json, and what is installed. */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { satisfies } from 'semver';
import { findEntryPoints } from '../../../functions-host/worker/entry-points.ts';
import { none } from '../check.ts';
import type { FolderApp, FolderCheck } from './app.ts';

const nodeRange = '^20.19.0 || >=22.12.0';

const node: FolderCheck = {
  name: 'node',
  question: `Is this a Node that Longhaul runs on (${nodeRange})?`,
  why: 'An older one cannot `require` ES modules, and lacks calls that Longhaul uses.',
  todo: 'Install Node 22 or newer (or 20.19), and name it in `engines` and in the Function App.',
  async run({ json }) {
    const { engines = {} } = json('package.json') as { engines?: { node?: string } };
    none([
      ...(satisfies(process.version, nodeRange) ? [] : [`this is ${process.version}`]),
      ...(engines.node && !satisfies(process.version, engines.node)
        ? [`package.json asks for ${engines.node}, this is ${process.version}`]
        : []),
    ]);
    return process.version;
  },
};

/** Where a package is that `from` imports; its own `exports` may hide its package.json. */
function versionOf(name: string, from: string): { version: string; at: string } | undefined {
  for (const folder of createRequire(from).resolve.paths(name) ?? []) {
    const at = join(folder, name);
    try {
      const { version } = createRequire(from)(join(at, 'package.json')) as { version: string };
      return { version, at };
    } catch {
      // Not there: one folder up.
    }
  }
  return undefined;
}

const own = ({ folder }: FolderApp) => join(folder, 'package.json');

const installed: FolderCheck = {
  name: 'installed',
  question: 'Are Longhaul and what it needs installed, in versions that fit each other?',
  why: 'Two versions of Longhaul, or an older @azure/functions, fail when a job comes, not before.',
  todo: 'npm install; the versions of longhaul and longhaul-dev in package.json are the same, and @azure/functions is ^4.16.5.',
  async run(app) {
    const [longhaul, dev, functions] = ['longhaul', 'longhaul-dev', '@azure/functions'].map(
      (name) => versionOf(name, own(app)),
    );
    none([
      ...(longhaul ? [] : ['longhaul is not installed']),
      ...(functions ? [] : ['@azure/functions is not installed']),
      ...(longhaul && dev && longhaul.version !== dev.version
        ? [`longhaul is ${longhaul.version}, longhaul-dev ${dev.version}`]
        : []),
      ...(functions && !satisfies(functions.version, '^4.16.5')
        ? [`@azure/functions is ${functions.version}`]
        : []),
    ]);
    return `longhaul ${longhaul?.version}, @azure/functions ${functions?.version}`;
  },
};

const base = '@azure/functions-extensions-base';

const oneCopy: FolderCheck = {
  name: 'one copy',
  question: `Is there one copy of ${base}?`,
  why: 'The Service Bus extension tells one copy how messages are made, and the host asks the other: no message could be read.',
  todo: `Put into package.json, and call npm install: "overrides": { "@azure/functions-extensions-servicebus": { "${base}": "0.3.0" } }`,
  after: 'installed',
  async run(app) {
    const users = ['@azure/functions', '@azure/functions-extensions-servicebus'];
    const found = versionOf('longhaul', own(app));
    const from = found ? join(found.at, 'package.json') : own(app);
    const copies = users.map((name) => {
      const user = versionOf(name, name === users[0] ? own(app) : from);
      return user && versionOf(base, join(user.at, 'package.json'));
    });
    const places = new Set(copies.flatMap((copy) => (copy ? [realpathSync(copy.at)] : [])));
    none(places.size > 1 ? [`there are ${copies.map((copy) => copy?.version).join(' and ')}`] : []);
    return copies[0]?.version ?? 'none of its own';
  },
};

const main: FolderCheck = {
  name: 'main',
  question: 'Does `main` in package.json name compiled files?',
  why: 'The worker in Azure loads these files and nothing else; without them the app has no function.',
  todo: 'npm run build; `main` is the compiled file that calls registerApp, or a pattern such as dist/src/functions/*.js.',
  async run({ folder }) {
    const files = await findEntryPoints(folder);
    const sources = files.filter((file) => /\.[cm]?ts$/.test(file));
    none(sources.map((file) => `${file} is TypeScript, which the worker does not compile`));
    return files.length > 3
      ? `${files.length} files in ${dirname(files[0] ?? '')}`
      : files.join(', ');
  },
};

export const packageChecks: FolderCheck[] = [node, installed, oneCopy, main];
