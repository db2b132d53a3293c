/**
 * `longhaul package [folder]`: what goes to Azure, small and quick to start. The app is one bundled file;
 * beside it lies only what cannot be bundled.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';

interface Manifest {
  name: string;
  version: string;
  /** The entry point, compiled. */
  main: string;
  dependencies: Record<string, string>;
  /** `external`: dependencies with native code, whose binaries must be those of the machines in Azure. */
  longhaul?: { external?: string[] };
}

// By an argument of Node the host would throw away the worker that it holds ready for a cold start.
const start = `process.setSourceMapsEnabled(true);
await import('./index.js');
`;

/** @throws when the app in that folder is not compiled */
export async function createPackage(folder: string, root = process.cwd()): Promise<void> {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest;
  const external = own.longhaul?.external ?? [];
  const code = dirname(own.main);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await bundle(join(root, own.main), join(resolve(folder), code, 'index.js'), external);
  await writeFile(join(folder, code, 'start.js'), start);
  for (const file of ['host.json', 'topology.json', '.funcignore'])
    await cp(join(root, file), join(folder, file));
  // The settlement client reads this at run time, beside its own code.
  const extension = createRequire(import.meta.url).resolve(
    '@azure/functions-extensions-servicebus',
  );
  await cp(join(dirname(extension), 'proto'), join(folder, code, 'proto'), { recursive: true });
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

async function bundle(entry: string, outfile: string, external: readonly string[]): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
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
