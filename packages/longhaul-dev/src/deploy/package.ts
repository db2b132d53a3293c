/**
 * `longhaul package [folder]`: what goes to Azure, small and quick to start. The app is one bundled file;
 * beside it lies only what cannot be bundled.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, posix, resolve } from 'node:path';
import { build } from 'esbuild';
import { findEntryPoints } from '../functions-host/worker/entry-points.ts';

interface Manifest {
  name: string;
  version: string;
  /** The entry points, compiled: a file or a pattern. */
  main: string;
  dependencies: Record<string, string>;
  longhaul?: {
    /** Dependencies with native code, whose binaries must be those of the machines in Azure. */
    external?: string[];
    /** Compiled modules that the app starts in threads: bundled beside it, each by itself. */
    threads?: string[];
  };
}

// By an argument of Node the host would throw away the worker that it holds ready for a cold start.
const startOf = (entries: readonly string[], code: string): string =>
  [
    'process.setSourceMapsEnabled(true);',
    ...entries.map((file) => `await import('./${posix.relative(code, file)}');`),
    '',
  ].join('\n');

function commonFolder(files: readonly string[]): string {
  const folders = files.map((file) => posix.dirname(file).split('/'));
  const [first = []] = folders;
  const end = first.findIndex((name, at) => folders.some((parts) => parts[at] !== name));
  return first.slice(0, end === -1 ? undefined : end).join('/') || '.';
}

/** @throws when the app in that folder is not compiled */
export async function createPackage(folder: string, root = process.cwd()): Promise<void> {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest;
  const external = own.longhaul?.external ?? [];
  const entries = await findEntryPoints(root, own.main);
  const code = commonFolder(entries);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await bundle(root, entries, resolve(folder), external);
  for (const thread of own.longhaul?.threads ?? [])
    await bundle(root, [thread], resolve(folder), external);
  await writeFile(join(folder, code, 'start.js'), startOf(entries, code));
  for (const file of ['host.json', 'topology.json', '.funcignore'])
    await cp(join(root, file), join(folder, file));
  await copyProto(folder);
  const manifest = {
    ...{ name: own.name, version: own.version, private: true, type: 'module' },
    main: `${code}/start.js`,
    dependencies: Object.fromEntries(external.map((name) => [name, own.dependencies[name]])),
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
  const forAzure = ['--os=linux', '--cpu=x64', '--libc=glibc'];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', '--omit=dev', '--prefer-offline', ...forAzure, ...quiet], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
}

/** The settlement client reads this at run time, beside its own code, wherever that went. */
async function copyProto(folder: string): Promise<void> {
  const extension = createRequire(import.meta.url).resolve(
    '@azure/functions-extensions-servicebus',
  );
  const proto = join(dirname(extension), 'proto');
  const files = await readdir(folder, { recursive: true });
  const code = files.filter((file) => file.endsWith('.js'));
  for (const at of new Set(code.map((file) => dirname(file))))
    await cp(proto, join(folder, at, 'proto'), { recursive: true });
}

/** Each entry point stays where it was: what it reads by its own path it finds. */
async function bundle(
  root: string,
  entries: readonly string[],
  outdir: string,
  external: readonly string[],
): Promise<void> {
  await build({
    absWorkingDir: resolve(root),
    entryPoints: [...entries],
    outbase: resolve(root),
    outdir,
    // Or each would have a programming model of its own.
    splitting: entries.length > 1,
    chunkNames: `${commonFolder(entries)}/[name]-[hash]`,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    // Names are read: of errors in logs, of classes in records.
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    // The worker brings the first.
    external: ['@azure/functions-core', ...external],
    // Some of what is bundled is CommonJS and asks for what modules do not have.
    banner: {
      js: [
        "import { createRequire as $createRequire } from 'node:module';",
        "import { fileURLToPath as $fileURLToPath } from 'node:url';",
        'const require = $createRequire(import.meta.url);',
        "const __filename = $fileURLToPath(import.meta.url), __dirname = $fileURLToPath(new URL('.', import.meta.url));",
      ].join('\n'),
    },
    logLevel: 'warning',
  });
}
