/** The files of a new app. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the top of Longhaul's own repository and every app have alike. */
export const shared = ['host.json', 'local.settings.sample.json', 'topology.json', 'bicep'];

const template = fileURLToPath(new URL('../template', import.meta.url));

// npm leaves files with a dot out of a package, or takes them for its own.
const nameOf = (file: string) => file.replace(/^_/, '.');

/** @throws when there is something in the folder already; nothing is written then */
export async function createApp(folder: string): Promise<void> {
  const there = existsSync(folder) ? await readdir(folder) : [];
  if (there.some((name) => name !== '.git'))
    throw new Error(
      `${folder} is not empty: choose another folder. Longhaul for an app that is there: npx longhaul-dev init ${folder}`,
    );
  await mkdir(folder, { recursive: true });
  for (const file of await readdir(template))
    await cp(join(template, file), join(folder, nameOf(file)), { recursive: true });
  const manifest = join(folder, 'package.json');
  const text = await readFile(manifest, 'utf8');
  await writeFile(manifest, text.replace('"my-app"', JSON.stringify(packageName(folder))));
}

/** npm's rules for a name: small letters, digits, dashes, dots. */
const packageName = (folder: string): string =>
  basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[.-]+/, '') || 'my-app';
