/** Apps to be given Longhaul, each in a folder that goes when the tests are over. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';

const folder = await mkdtemp(join(tmpdir(), 'longhaul-init-'));
after(() => rm(folder, { recursive: true, force: true }));

export async function appOf(files: Record<string, string>): Promise<string> {
  const app = await mkdtemp(join(folder, 'app-'));
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(app, file)), { recursive: true });
    await writeFile(join(app, file), text);
  }
  return app;
}
