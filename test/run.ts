/** Runs every `*.test.js` of the compiled tests: Node 20's runner takes files, not patterns. */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv.slice(2);
const files = (await readdir(here, { recursive: true }))
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .map((file) => join(here, file))
  .sort();
// Most of them wait for most of their time.
const atOnce = availableParallelism() + 1;
const args = ['--test', `--test-concurrency=${atOnce}`, '--test-timeout=300000', ...files];
spawn(process.execPath, args, { stdio: 'inherit' }).on('exit', (code) => {
  process.exitCode = code ?? 1;
});
