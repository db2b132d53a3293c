/** What the compiler must be told by hand: a setting of it is of all the app's sources. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { intersects, satisfies, validRange } from 'semver';
import type { ExistingApp } from './existing-app.ts';
import { type Json, readJson } from './json.ts';

/** It reads the types of zod 4 as they are. */
const readsZod = '>=6';

export function compilerByHand(app: ExistingApp): string[] {
  const { module = '', strict, esModuleInterop, skipLibCheck } = app.compilerOptions;
  const told: string[] = [];
  if (/^node1[68]$/i.test(module) && app.manifest.type !== 'module')
    told.push(
      `tsconfig.json: with "module": "${module}" a CommonJS file may import no ES module, as Longhaul is. Say "node20" or "nodenext".`,
    );
  // Other kinds of modules have it by themselves.
  const isPlain = module === '' || /^commonjs$/i.test(module);
  if (isPlain && !esModuleInterop && !skipLibCheck && isCompilerOld(app))
    told.push(
      'tsconfig.json: put "esModuleInterop": true into compilerOptions, or TypeScript before 6 does not compile the types of zod 4 (error TS1259). If sources of yours call what they import by `import * as`, put "skipLibCheck": true instead: it changes nothing in them.',
    );
  if (!strict)
    told.push(
      'tsconfig.json: without "strict" the compiler cannot tell the types of results. It works; turn it on when you can.',
    );
  return told;
}

/** By what is installed, or else by what package.json asks for. An app without it gets the newest. */
function isCompilerOld({ folder, manifest, workspace }: ExistingApp): boolean {
  const groups = [manifest, workspace?.manifest].flatMap((one) => [
    one?.['dependencies'],
    one?.['devDependencies'],
  ]);
  const asked = groups
    .map((group) => (group as Record<string, string> | undefined)?.['typescript'])
    .find((range) => range !== undefined && validRange(range));
  const installed = installedIn(resolve(folder));
  if (installed && (!asked || satisfies(installed, asked))) return !satisfies(installed, readsZod);
  return asked !== undefined && !intersects(asked, readsZod);
}

function installedIn(folder: string): string | undefined {
  const file = join(folder, 'node_modules/typescript/package.json');
  if (existsSync(file))
    return readJson(file, readFileSync(file, 'utf8'))['version'] as string | undefined;
  return dirname(folder) === folder ? undefined : installedIn(dirname(folder));
}

/** With those of the files that it extends, where they are files beside it and of no package. */
export function readCompilerOptions(file: string): Json {
  const { extends: bases = [], compilerOptions } = readJson(file, readFileSync(file, 'utf8'));
  const options = [bases].flat().map((base) => {
    if (typeof base !== 'string' || !/^\.|^\//.test(base)) return {};
    const path = resolve(dirname(file), base.endsWith('.json') ? base : `${base}.json`);
    if (!existsSync(path)) return {};
    // Folders are relative to the file that names them.
    const { outDir: _, rootDir: __, ...rest } = readCompilerOptions(path);
    return rest;
  });
  return Object.assign({}, ...options, compilerOptions);
}
