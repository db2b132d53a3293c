/** local.settings.json, and that nothing secret is in Git. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readSettings } from 'longhaul/internal/settings';
import { none, Skipped } from '../check.ts';
import type { FolderApp, FolderCheck } from './app.ts';

const settings: FolderCheck = {
  name: 'settings',
  question: 'Are the local settings such that the app can start?',
  why: 'A setting that is wrong stops the app at its start, here and in Azure.',
  todo: 'Correct local.settings.json (the README has every setting); local.settings.sample.json is what it begins from.',
  async run(app) {
    const all = app.settings();
    const { LANES } = readSettings(all);
    const lanes = app.topology().lanes.map(({ name }) => name);
    const runtime = all['FUNCTIONS_WORKER_RUNTIME'];
    none([
      ...LANES.filter((lane) => !lanes.includes(lane)).map((lane) => `LANES: no lane ${lane}`),
      ...(runtime === undefined || runtime === 'node'
        ? []
        : [`FUNCTIONS_WORKER_RUNTIME is ${runtime} instead of node`]),
    ]);
    return `lanes ${LANES.join(', ')}`;
  },
};

const run = promisify(execFile);

/** What git says, or undefined where it answers no. */
async function git({ folder }: FolderApp, ...args: string[]): Promise<string | undefined> {
  try {
    return (await run('git', args, { cwd: folder })).stdout.trim();
  } catch {
    return undefined;
  }
}

const privateFiles = ['local.settings.json', '.env'];
// A key of storage, of Service Bus, of callbacks; not a word in its place.
const key =
  'AccountKey=[A-Za-z0-9+/]{86}==|SharedAccessKey=[A-Za-z0-9+/]{43}=|whsec_[A-Za-z0-9+/]{32,88}';
// Azurite's, which is in its documentation.
const known = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq';

const secrets: FolderCheck = {
  name: 'git',
  question: 'Are local settings and keys kept out of Git?',
  why: 'What was once pushed is known to all who can read the repository, and stays in its history.',
  todo: 'Add the file to .gitignore, git rm --cached FILE, and change each key that was in it.',
  async run(app) {
    if ((await git(app, 'rev-parse', '--is-inside-work-tree')) === undefined)
      throw new Skipped('this is no Git repository');
    const problems: string[] = [];
    for (const file of privateFiles) {
      if (await git(app, 'ls-files', file)) problems.push(`${file} is in Git`);
      else if ((await git(app, 'check-ignore', file)) === undefined && app.read(file) !== undefined)
        problems.push(`${file} is not ignored`);
    }
    const files = ['*.json', '*.bicep', '*.bicepparam', '*.yml', '*.yaml', '.env*'];
    const lines = (await git(app, 'grep', '-nE', key, '--', ...files)) ?? '';
    for (const line of lines.split('\n').filter((text) => text !== '' && !text.includes(known)))
      problems.push(`a key in ${line.split(':').slice(0, 2).join(', line ')}`);
    none(problems);
    return 'none found';
  },
};

export const settingsChecks: FolderCheck[] = [settings, secrets];
