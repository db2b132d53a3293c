/** Where an app's layout has room for Longhaul: the entry that registers it, and its jobs. */
import { posix } from 'node:path';
import picomatch from 'picomatch';
import type { ExistingApp } from './existing-app.ts';

const { basename, dirname, join, normalize, relative } = posix;

export interface Layout {
  /** The source that registers Longhaul. */
  entry: string;
  /** The folder of the jobs. */
  jobs: string;
  /** From the compiled entry to topology.json. */
  topology: string;
  /** For package.json, which has none. */
  main?: string;
  /** The source that has to import the entry, as `main` names that one file and no pattern. */
  importedBy?: string;
  /** The compiled entry, which the pattern in `main` does not match. */
  unmatched?: string;
}

const usual = ['src/functions', 'functions', 'src'];
const patternOfFunc = 'dist/src/functions/*.js';

export function findLayout({ manifest, compilerOptions, has }: ExistingApp): Layout {
  const main = normalize(manifest.main ?? patternOfFunc);
  const outDir = normalize(compilerOptions.outDir ?? main.split('/')[0] ?? 'dist');
  const rootDir = normalize(compilerOptions.rootDir ?? rootOf(main, outDir, has));
  const compiled = (source: string) => join(outDir, relative(rootDir, source));
  const matches = picomatch(main);
  const places = usual.filter((place) => matches(compiled(`${place}/longhaul.js`)));
  const place = places.find((folder) => has(folder)) ?? places[0];
  if (place !== undefined)
    return {
      ...layoutIn(place, compiled),
      ...(manifest.main === undefined ? { main: patternOfFunc } : {}),
    };
  if (picomatch.scan(main).isGlob) {
    const folder = usual.find((each) => has(each)) ?? 'src';
    return { ...layoutIn(folder, compiled), unmatched: compiled(join(folder, 'longhaul.js')) };
  }
  const source = join(rootDir, relative(outDir, main));
  return { ...layoutIn(dirname(source), compiled), importedBy: source.replace(/js$/, 'ts') };
}

/** Without `rootDir` the compiler takes the folder that all sources have in common. */
function rootOf(main: string, outDir: string, has: ExistingApp['has']): string {
  const below = relative(outDir, main);
  const first = (below.split('/')[0] ?? '').replace(/js$/, 'ts');
  return has('src') && first !== 'src' && !has(first) ? 'src' : '.';
}

function layoutIn(folder: string, compiled: (source: string) => string): Layout {
  // A pattern for the functions may reach into folders below theirs: jobs are beside it.
  const isBeside = basename(folder) === 'functions' && dirname(folder) !== '.';
  return {
    entry: join(folder, 'longhaul.ts'),
    jobs: join(isBeside ? dirname(folder) : folder, 'jobs'),
    topology: relative(compiled(folder), 'topology.json'),
  };
}
