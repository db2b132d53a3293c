/** An app that is one of several in a workspace: its root says what holds for all of them. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import picomatch from 'picomatch';
import { addMissing, type Json, readJson } from './json.ts';

export interface Workspace {
  /** From the app's folder to the root, such as `../..`. */
  path: string;
  manifest: Json;
  has(file: string): boolean;
}

const slashed = (path: string): string => path.split(sep).join('/');

export function findWorkspace(app: string): Workspace | undefined {
  const folder = realpathSync(app);
  for (let at = dirname(folder), below = folder; at !== below; below = at, at = dirname(at)) {
    const manifest = manifestIn(at);
    if (!manifest || !isMember(manifest['workspaces'], slashed(relative(at, folder)))) continue;
    const root = at;
    const has = (file: string) => existsSync(join(root, file));
    return { path: slashed(relative(folder, root)), manifest, has };
  }
  return undefined;
}

/** A folder above may hold anything: what cannot be read is no root. */
function manifestIn(folder: string): Json | undefined {
  try {
    return readJson('package.json', readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** `workspaces` is a list of patterns, or has one in `packages`. */
function isMember(workspaces: unknown, path: string): boolean {
  const listed = (workspaces as { packages?: unknown } | undefined)?.packages ?? workspaces;
  if (!Array.isArray(listed)) return false;
  const patterns = listed
    .filter((one) => typeof one === 'string')
    .map((one) => one.replace(/^(!?)(\.?\/)+/, '$1').replace(/\/+$/, ''));
  const some = (which: string[]) => which.length > 0 && picomatch(which)(path);
  const without = patterns.filter((one) => one.startsWith('!')).map((one) => one.slice(1));
  return some(patterns.filter((one) => !one.startsWith('!'))) && !some(without);
}

/** npm hears `overrides` in the root alone. */
export function overridesByHand({ path, manifest }: Workspace, overrides: unknown): string[] {
  const { added, conflicts } = addMissing('package.json', JSON.stringify(manifest), { overrides });
  if (added.length === 0 && conflicts.length === 0) return [];
  const lines = JSON.stringify(overrides, null, 1).replace(/\s+/g, ' ');
  return [
    `${path}/package.json: it is the root of the workspace, and npm hears \`overrides\` only there. Put this into it, before npm install: "overrides": ${lines}. Without it there are two copies of that package, and the app cannot start. If npm has installed Longhaul already, call npm update @azure/functions-extensions-base after it: npm install leaves the second copy.`,
  ];
}
