/** `npm run bench:package`: the bundled package beside the pruned one: files, sizes, time to load. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPackage } from '#dev/deploy/package.js';
import { Registry, supplyCoreModule } from '#dev/functions-host/worker/core-module.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rounds = 9;

/** In a child: loads that file of an app and says how long it took, in milliseconds. */
async function load(entry: string): Promise<never> {
  supplyCoreModule(new Registry(), () => undefined);
  const began = performance.now();
  await import(entry);
  console.log(performance.now() - began);
  process.exit(0);
}

async function createPruned(folder: string): Promise<void> {
  for (const file of ['host.json', 'topology.json', 'package.json', 'package-lock.json'])
    await cp(join(root, file), join(folder, file));
  for (const path of ['dist/functions', 'packages'])
    await cp(join(root, path), join(folder, path), { recursive: true });
  execFileSync('npm', ['install', '--omit=dev', '--ignore-scripts', '--loglevel=error'], {
    cwd: folder,
  });
}

async function measure(folder: string) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (f) => (await stat(join(f.parentPath, f.name))).size),
  );
  const archive = execFileSync('tar', ['-czf', '-', '-C', folder, '.'], { maxBuffer: 2 ** 30 });
  const mb = (bytes: number) => Number((bytes / 2 ** 20).toFixed(1));
  return {
    files: files.length,
    'size MB': mb(sizes.reduce((sum, size) => sum + size, 0)),
    'compressed MB': mb(archive.length),
  };
}

const nothing =
  'Endpoint=sb://127.0.0.1;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true;';
const env = {
  ...process.env,
  ServiceBus: nothing,
  AzureWebJobsStorage: 'UseDevelopmentStorage=true',
};

function timeToLoad(folder: string, file: string): number {
  const self = fileURLToPath(import.meta.url);
  const entry = join(folder, 'dist/functions', file);
  const said = execFileSync(process.execPath, [self, '--load', entry], { env });
  return Number(said.toString().trim().split('\n').at(-1));
}

const median = (numbers: number[]) =>
  Math.round(numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0);

async function compare(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-packages-'));
  const [bundled, pruned] = [join(folder, 'bundled'), join(folder, 'pruned')];
  try {
    await createPackage(bundled, root);
    await createPruned(pruned);
    const ways: Record<string, () => number> = {
      bundled: () => timeToLoad(bundled, 'start.js'),
      'bundled, no source maps': () => timeToLoad(bundled, 'index.js'),
      pruned: () => timeToLoad(pruned, 'index.js'),
    };
    const times = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
    // In turns, so that what else the machine does falls on all alike.
    for (let round = 0; round < rounds; round++)
      for (const [name, run] of Object.entries(ways)) times.get(name)?.push(run());
    const sizes = { bundled: await measure(bundled), pruned: await measure(pruned) };
    console.table(
      Object.fromEntries(
        [...times].map(([name, ms]) => [
          name,
          { 'load ms (median)': median(ms), ...(sizes[name as keyof typeof sizes] ?? {}) },
        ]),
      ),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--load') await load(process.argv[3] ?? '');
else await compare();
