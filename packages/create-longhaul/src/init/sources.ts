/** The sources that `init` writes. Imports end in `.js`: so they are right in CommonJS and in ES modules. */
import { posix } from 'node:path';
import type { Layout } from './layout.ts';

const { dirname, relative } = posix;

const toward = (from: string, to: string): string => {
  const path = relative(dirname(from), to);
  return path.startsWith('.') ? path : `./${path}`;
};

export function entrySource({ entry, jobs, topology }: Layout, isModule: boolean): string {
  const catalogue = `import { catalogue } from '${toward(entry, `${jobs}/catalogue.js`)}';`;
  if (isModule)
    return `/** Longhaul's functions: its API, its queues, its timers. */
import { registerApp } from 'longhaul';
${catalogue}

registerApp(catalogue, { topology: new URL('${topology}', import.meta.url) });
`;
  return `/** Longhaul's functions: its API, its queues, its timers. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { registerApp } from 'longhaul';
${catalogue}

registerApp(catalogue, { topology: pathToFileURL(join(__dirname, '${topology}')) });
`;
}

/** Of the template, which imports the sources themselves. */
export const forAnyCompiler = (source: string): string =>
  source.replace(/(from '\.[^']*)\.ts'/g, "$1.js'");

/** What another file exports (`export * from`) is not looked after. */
export const exportsCatalogue = (source: string): boolean =>
  /\bexport\s+(const|let|var)\s+catalogue\b|\bexport\s*\{[^}]*\bcatalogue\s*[,}]|\bexport\s*\*\s*from\b/.test(
    source,
  );
