/**
 * `npm run package [folder]`: what goes to Azure, small and quick to start. The app is one bundled
 * file; beside it lies only what cannot be bundled. Default folder: `dist/package`.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
// `topology.json` is two folders above the code here too: the app looks for it there.
const app = 'dist/functions/index.js';
const main = 'dist/functions/start.js';
// Native code: its binaries must be those of the machines in Azure, whatever this one is.
const native = ['sharp'];

// By an argument of Node the host would throw away the worker that it holds ready for a cold start.
const start = `process.setSourceMapsEnabled(true);
await import('./index.js');
`;

export async function createPackage(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await bundle(folder);
  await writeFile(join(folder, main), start);
  for (const file of ['host.json', 'topology.json', '.funcignore'])
    await cp(join(root, file), join(folder, file));
  // The settlement client reads this at run time, beside its own code.
  const extension = 'node_modules/@azure/functions-extensions-servicebus/dist/proto';
  await cp(join(root, extension), join(folder, 'dist/functions/proto'), { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify(await manifest(), null, 2));
  const forAzure = ['--os=linux', '--cpu=x64', '--libc=glibc'];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', '--omit=dev', '--prefer-offline', ...forAzure, ...quiet], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
}

async function bundle(folder: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ['functions/index.ts'],
    outfile: join(folder, app),
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
    external: ['@azure/functions-core', ...native],
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

async function manifest() {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    dependencies: Record<string, string>;
  };
  return {
    name: own.name,
    version: own.version,
    private: true,
    type: 'module',
    main,
    dependencies: Object.fromEntries(native.map((name) => [name, own.dependencies[name]])),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? join(root, 'dist/package');
  await createPackage(folder);
  process.stdout.write(
    `${folder}\nPublish it: cd there, then func azure functionapp publish NAME --javascript\n`,
  );
}
