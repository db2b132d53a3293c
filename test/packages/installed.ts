/** The packages as tarballs, and an app that has them installed. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createClient } from '../support/client.ts';
import { freePortSettings } from '../support/port-settings.ts';
import { root } from '../support/stack.ts';
import { until } from '../support/until.ts';

export const run = promisify(execFile);
export const packages = ['longhaul', 'longhaul-dev', 'longhaul-service-bus', 'create-longhaul'];
export const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];

export type Tarballs = Record<string, string>;

export async function pack(folder: string): Promise<Tarballs> {
  for (const name of packages)
    await run('npm', ['pack', '--workspace', name, '--pack-destination', folder], { cwd: root });
  const files = await readdir(folder);
  return Object.fromEntries(
    files.map((file) => [file.replace(/-\d.*$/, ''), `file:${join(folder, file)}`]),
  );
}

/** In place of versions that are not published yet. */
export async function nameTarballs(app: string, { longhaul, ...others }: Tarballs): Promise<void> {
  const file = join(app, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  manifest.dependencies.longhaul = longhaul;
  Object.assign(manifest.devDependencies, others);
  await writeFile(file, JSON.stringify(manifest));
}

/** `longhaul start` or `dev` in the app's folder, while something is tried with it. */
export async function withApp(
  app: string,
  command: string,
  act: (client: ReturnType<typeof createClient>, output: () => string) => Promise<void>,
  installedIn = app,
): Promise<void> {
  const ports = await freePortSettings();
  const env = { ...process.env, ...ports };
  const bin = join(installedIn, 'node_modules/longhaul-dev/bin/longhaul.js');
  const started = spawn(process.execPath, [bin, command], { cwd: app, env });
  let output = '';
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (text) => {
      output += text;
    });
  const ended = once(started, 'exit');
  try {
    await until('the stack', () => {
      assert.equal(started.exitCode, null, output);
      return output.includes('Ready in');
    });
    await act(createClient(`http://127.0.0.1:${ports['PORT']}`), () => output);
  } finally {
    started.kill('SIGTERM');
    await ended;
  }
}
