/** The app that gets Longhaul, as it stands in its folder. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCompilerOptions } from './compiler.ts';
import { type Json, readJson } from './json.ts';
import { findWorkspace, type Workspace } from './workspace.ts';

export interface CompilerOptions {
  outDir?: string;
  rootDir?: string;
  module?: string;
  strict?: boolean;
  esModuleInterop?: boolean;
  skipLibCheck?: boolean;
}

export interface ExistingApp {
  folder: string;
  /** The workspace that it is in. */
  workspace: Workspace | undefined;
  manifest: Json & { main?: string; type?: string };
  compilerOptions: CompilerOptions;
  has(path: string): boolean;
  /** The text of a file, where there is one. */
  read(path: string): string | undefined;
  /** The source file that calls `registerApp` already. */
  registeredIn: string | undefined;
}

/** @throws when that folder has no app in TypeScript on the programming model v4 */
export function readExistingApp(folder: string): ExistingApp {
  const has = (path: string) => existsSync(join(folder, path));
  const read = (path: string) => (has(path) ? readFileSync(join(folder, path), 'utf8') : undefined);
  for (const needed of ['package.json', 'host.json'])
    if (!has(needed))
      throw new Error(
        `${folder} has no ${needed}: give the folder of a Functions app. A new one: npm create longhaul my-app`,
      );
  if (!has('tsconfig.json'))
    throw new Error(
      `${folder} has no tsconfig.json: init writes TypeScript. For an app in JavaScript docs/your-app.md says what to write.`,
    );
  const manifest = readJson('package.json', read('package.json') ?? '');
  return {
    ...{ folder, manifest, workspace: findWorkspace(folder) },
    compilerOptions: readCompilerOptions(join(folder, 'tsconfig.json')) as CompilerOptions,
    ...{ has, read },
    registeredIn: sources(folder).find((file) =>
      /\bregisterApp\s*\(/.test(readFileSync(join(folder, file), 'utf8')),
    ),
  };
}

const notSources = new Set(['node_modules', 'dist', 'bicep', 'test', 'tests']);

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory() && !notSources.has(entry.name) && !entry.name.startsWith('.'))
      return sources(join(folder, entry.name)).map((file) => join(entry.name, file));
    return /\.[cm]?ts$/.test(entry.name) ? [entry.name] : [];
  });
}
