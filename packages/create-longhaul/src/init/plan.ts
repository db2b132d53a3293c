/** What `longhaul init` would write, what it leaves alone, and what is left to be done by hand. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compilerByHand } from './compiler.ts';
import { type ExistingApp, readExistingApp } from './existing-app.ts';
import { mergeHost, reasonOf } from './host.ts';
import { addMissing, type Conflict, isObject, type Json, readJson } from './json.ts';
import { findLayout, type Layout } from './layout.ts';
import { mergeManifest, versionsByHand } from './manifest.ts';
import { entrySource, exportsCatalogue, forAnyCompiler } from './sources.ts';
import { overridesByHand } from './workspace.ts';

export interface Plan {
  writes: { file: string; text: string; what: string }[];
  left: string[];
  byHand: string[];
}

const template = fileURLToPath(new URL('../../template', import.meta.url));
// In Longhaul's own repository what apps have in common is at its top, until it is packed.
const top = fileURLToPath(new URL('../../../..', import.meta.url));

const pathOf = (file: string): string =>
  [join(template, file), join(template, file.replace(/^\./, '_'))].find((path) =>
    existsSync(path),
  ) ?? join(top, file);
const textOf = (file: string): Promise<string> => readFile(pathOf(file), 'utf8');
const jsonOf = async (file: string): Promise<Json> => readJson(file, await textOf(file));

/** @throws when that folder has no app that Longhaul can be put into; nothing was written then */
export async function planInit(folder: string): Promise<Plan> {
  const app = readExistingApp(folder);
  const layout = findLayout(app);
  const plan: Plan = { writes: [], left: [], byHand: [] };
  await planManifest(plan, app, layout);
  await planHost(plan, app);
  await planSettings(plan, app);
  await planSources(plan, app, layout);
  planIgnored(plan, app);
  await planFiles(plan, app);
  plan.byHand.push(...compilerByHand(app));
  return plan;
}

const shown = (value: unknown): string => JSON.stringify(value);

function change(plan: Plan, app: ExistingApp, file: string, text: string, added: string[]): void {
  if (added.length > 0) plan.writes.push({ file, text, what: `added ${added.join(', ')}` });
  else if (app.has(file)) plan.left.push(`${file}: has all that is needed`);
}

const told = (plan: Plan, file: string, conflicts: Conflict[], why: (one: Conflict) => string) => {
  for (const one of conflicts) {
    const want = isObject(one.want) ? 'an object, which it adds to' : shown(one.want);
    plan.byHand.push(
      `${file}: ${one.path} is ${shown(one.have)} and was left. Longhaul is made for ${want}: ${why(one)}.`,
    );
  }
};

async function planManifest(plan: Plan, app: ExistingApp, layout: Layout): Promise<void> {
  const text = app.read('package.json') ?? '';
  const wanted = await jsonOf('package.json');
  const merged = mergeManifest(text, app, layout, wanted);
  change(plan, app, 'package.json', merged.text, merged.added);
  told(plan, 'package.json', merged.conflicts, ({ path }) =>
    path.startsWith('overrides') ? 'two copies of that package register nothing' : 'it is needed',
  );
  if (app.workspace) plan.byHand.push(...overridesByHand(app.workspace, wanted['overrides']));
  if (merged.added.length > 0) plan.byHand.push('npm install');
  plan.byHand.push(...versionsByHand(app));
  const has = (lock: string) => app.has(lock) || app.workspace?.has(lock);
  if (has('yarn.lock') || has('pnpm-lock.yaml'))
    plan.byHand.push(
      'package.json: `overrides` is heard by npm; say the same in `resolutions` (Yarn) or `pnpm.overrides` (pnpm).',
    );
}

async function planHost(plan: Plan, app: ExistingApp): Promise<void> {
  const merged = mergeHost(app.read('host.json') ?? '', await jsonOf('host.json'));
  change(plan, app, 'host.json', merged.text, merged.added);
  told(plan, 'host.json', merged.conflicts, reasonOf);
}

async function planSettings(plan: Plan, app: ExistingApp): Promise<void> {
  const sample = await jsonOf('local.settings.sample.json');
  for (const file of ['local.settings.sample.json', 'local.settings.json']) {
    const text = app.read(file);
    if (text === undefined) continue;
    const { text: merged, added, conflicts } = addMissing(file, text, sample);
    change(plan, app, file, merged, added);
    for (const { path } of conflicts)
      plan.left.push(`${file}: ${path} says something else than the sample of Longhaul`);
  }
}

async function planSources(plan: Plan, app: ExistingApp, layout: Layout): Promise<void> {
  const { entry, jobs, importedBy, unmatched } = layout;
  if (app.registeredIn !== undefined) {
    plan.left.push(`${app.registeredIn}: registers Longhaul already`);
  } else {
    const text = entrySource(layout, app.manifest.type === 'module');
    plan.writes.push({ file: entry, text, what: 'registers Longhaul, with its topology' });
    if (app.has(join(jobs, 'catalogue.ts'))) plan.left.push(`${jobs}: has a catalogue`);
    else
      for (const name of ['catalogue.ts', 'greet.ts'])
        await planJob(plan, app, join(jobs, name), await textOf(`functions/jobs/${name}`));
  }
  tellCatalogue(plan, app, layout);
  if (importedBy && app.registeredIn === undefined)
    plan.byHand.push(`${importedBy}: add the line  import './longhaul.js';`);
  if (unmatched && app.registeredIn === undefined)
    plan.byHand.push(
      `package.json: main loads no ${unmatched}. Say "{${app.manifest.main},${unmatched}}", or import it from a file that main loads.`,
    );
}

/** A file of that name may be of something else, and the registration that imports it is Longhaul's. */
function tellCatalogue(plan: Plan, app: ExistingApp, { entry, jobs }: Layout): void {
  const file = join(jobs, 'catalogue.ts');
  const text = app.read(file);
  if (text === undefined || exportsCatalogue(text)) return;
  const registration = app.registeredIn && app.read(app.registeredIn);
  if (registration && !/jobs\/catalogue\b/.test(registration)) return;
  plan.byHand.push(
    `${file}: was there before, and exports no \`catalogue\`, which ${app.registeredIn ?? entry} imports. Export the list of your job types there, or in another file which you import instead.`,
  );
}

async function planJob(plan: Plan, app: ExistingApp, file: string, text: string): Promise<void> {
  if (app.has(file)) plan.left.push(`${file}: is there already, look that the catalogue fits it`);
  else plan.writes.push({ file, text: forAnyCompiler(text), what: 'a first job, to be changed' });
}

/** Files and folders that are written whole, or not at all. */
async function planFiles(plan: Plan, app: ExistingApp): Promise<void> {
  for (const [name, what] of [
    ['topology.json', 'the lanes and their queues'],
    ['local.settings.sample.json', 'settings for `func start`'],
    ['.funcignore', 'what is not deployed'],
    ['bicep', 'what it needs in Azure'],
  ] as const) {
    if (plan.writes.some(({ file }) => file === name)) continue;
    if (app.has(name)) leave(plan, app, name);
    else if (name === 'bicep')
      for (const file of await readdir(pathOf(name)))
        plan.writes.push({ file: join(name, file), text: await textOf(join(name, file)), what });
    else plan.writes.push({ file: name, text: await textOf(name), what });
  }
}

/** A topology.json may be of another tool. */
function leave(plan: Plan, app: ExistingApp, name: string): void {
  if (name !== 'topology.json') return void plan.left.push(`${name}: is there already`);
  const { lanes, queues } = readJson(name, app.read(name) ?? '');
  if (Array.isArray(lanes) && Array.isArray(queues)) plan.left.push(`${name}: is there already`);
  else
    plan.byHand.push(
      `${name}: was there before, and is not Longhaul's: it has no lanes and queues. Give it another name and call init again: every command of Longhaul reads its topology in a file of this name.`,
    );
}

/** What must not be taken, without an ending slash: into Git, and to Azure. */
const ignored = {
  '.gitignore': ['node_modules', 'dist', '.longhaul', 'local.settings.json'],
  '.funcignore': ['.longhaul', 'local.settings.json'],
};

const plainly = (line: string): string => line.trim().replace(/^(\*\*)?\/|\/(\*\*?)?$/g, '');

function planIgnored(plan: Plan, app: ExistingApp): void {
  for (const [file, names] of Object.entries(ignored)) {
    const text = app.read(file);
    if (text === undefined && file === '.funcignore') continue;
    const there = (text ?? '').split('\n').map(plainly);
    const missing = names.filter((name) => !there.includes(name));
    if (missing.length === 0) continue;
    const eol = text?.includes('\r\n') ? '\r\n' : '\n';
    const start = !text || text.endsWith('\n') ? (text ?? '') : `${text}${eol}`;
    plan.writes.push({
      file,
      text: start + missing.map((name) => `${name}${eol}`).join(''),
      what: `added ${missing.join(', ')}`,
    });
  }
}
