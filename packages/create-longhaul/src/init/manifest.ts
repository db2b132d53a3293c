/** package.json: what Longhaul needs of it. */
import { intersects, validRange } from 'semver';
import type { ExistingApp } from './existing-app.ts';
import { addMissing, type Json, type Merged } from './json.ts';
import type { Layout } from './layout.ts';

type Strings = Record<string, string>;

/** What an existing app must reach; a new one gets the newest. */
const least: Strings = {
  '@azure/functions': '>=4.16.5 <5',
  typescript: '>=5.5',
  zod: '>=3.24',
};

const startHere = 'longhaul start';

/** The app's `start` may be `func start`, and stays. */
function scriptsOf(have: Strings): Strings {
  const build = 'build' in have ? 'npm run build' : 'tsc';
  const start = `${build} && ${startHere}`;
  const isOurs = have['start'] === undefined || have['start'].includes(startHere);
  return {
    build: have['build'] ?? 'tsc',
    ...(isOurs
      ? { start: have['start'] ?? start }
      : { 'start:longhaul': have['start:longhaul'] ?? start }),
    package: have['package'] ?? `${build} && longhaul package`,
  };
}

export function mergeManifest(
  text: string,
  { manifest, workspace }: ExistingApp,
  { main }: Layout,
  template: Json,
): Merged {
  const { dependencies, devDependencies, overrides } = template;
  const given = { ...(manifest['dependencies'] ?? {}), ...(manifest['devDependencies'] ?? {}) };
  const missing = (wanted: unknown) =>
    Object.fromEntries(Object.entries(wanted as Strings).filter(([name]) => !(name in given)));
  return addMissing('package.json', text, {
    ...(main ? { main } : {}),
    scripts: scriptsOf((manifest['scripts'] ?? {}) as Strings),
    dependencies: missing(dependencies),
    devDependencies: missing(devDependencies),
    // npm hears them in the root of a workspace alone.
    ...(workspace ? {} : { overrides }),
  });
}

/** Versions that the app names and Longhaul cannot work with, each with the command that changes it. */
export function versionsByHand({ manifest }: ExistingApp): string[] {
  return ['dependencies', 'devDependencies'].flatMap((group) =>
    Object.entries((manifest[group] ?? {}) as Strings).flatMap(([name, range]) => {
      const wanted = least[name];
      if (wanted === undefined || !validRange(range) || intersects(range, wanted)) return [];
      const save = group === 'dependencies' ? '' : '--save-dev ';
      return [
        `${name} is ${range}, Longhaul needs ${wanted}: npm install ${save}"${name}@${wanted}"`,
      ];
    }),
  );
}
