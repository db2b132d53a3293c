/** Runs every `*.test.js` of the compiled tests, in all folders: Node 20's runner takes no patterns. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => join(here, file));
if (files.length === 0) throw new Error(`There is no *.test.js in ${here}.`);
spawn(process.execPath, ['--test', ...files], { stdio: 'inherit' }).on('exit', (code) => {
  process.exitCode = code ?? 1;
});
