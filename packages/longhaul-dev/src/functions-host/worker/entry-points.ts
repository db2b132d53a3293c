/**
 * The files that a worker loads: `main` of package.json, a file or a pattern such as
 * `dist/src/{index.js,functions/*.js}`. By the rules of Azure's worker (Azure/azure-functions-nodejs-worker,
 * startApp.ts and loadScriptFile.ts).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { glob, isDynamicPattern } from 'tinyglobby';

export interface Manifest {
  main?: string;
  type?: string;
}

export const readManifest = (root: string): Manifest =>
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

/** @throws when `main` is missing or names no file */
export async function findEntryPoints(
  root: string,
  main: string | undefined = readManifest(root).main,
): Promise<string[]> {
  if (!main)
    throw new Error(
      'package.json has no main: name the compiled entry point, such as "dist/src/functions/*.js".',
    );
  // Sorted, as Azure's worker promises no order: what depends on one should not change from run to run.
  const files = (await glob(main, { cwd: root, expandDirectories: false })).sort();
  if (files.length > 0) return files;
  const why = isDynamicPattern(main) ? 'no file matches this pattern' : 'there is no such file';
  throw new Error(`The entry point ${main} (main in package.json): ${why}. Is the app compiled?`);
}

const isModule = (file: string, { type }: Manifest): boolean =>
  file.endsWith('.mjs') || (!file.endsWith('.cjs') && type === 'module');

/** @throws Error that names the file */
export async function loadEntryPoint(root: string, file: string): Promise<void> {
  const path = join(root, file);
  try {
    if (isModule(file, readManifest(root))) await import(pathToFileURL(path).href);
    else createRequire(path)(path);
  } catch (error) {
    if (error instanceof Error)
      error.message = `The entry point ${file} cannot be loaded: ${error.message}`;
    throw error;
  }
}
