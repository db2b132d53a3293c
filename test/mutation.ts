/**
 * `npm run test:mutation -- outcome lease`: breaks the compiled files whose paths contain one of these
 * words, one place at a time, and runs the tests of the rules. What no test notices is printed.
 *
 * By text, not by syntax tree: what is broken so that it cannot be read is left out.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Mutant {
  line: number;
  before: string;
  after: string;
}

/** What is looked for in a line, and what takes its place. */
const breaks: readonly [RegExp, string][] = [
  [/ === /g, ' !== '],
  [/ !== /g, ' === '],
  [/ && /g, ' || '],
  [/ \|\| /g, ' && '],
  [/ >= /g, ' > '],
  [/ <= /g, ' < '],
  [/ > /g, ' >= '],
  [/ < /g, ' <= '],
  [/ \+ 1\b/g, ' + 0'],
  [/\btrue\b/g, 'false'],
  [/\bfalse\b/g, 'true'],
  [/\bif \((?!!\()/g, 'if (!1 && '],
  [/ \? /g, ' && !1 ? '],
  [/^\s+await [^=]*;$/g, ';'],
  [/^\s+(this|app|worker|lease|checkpoint|suspension|delivery)[.\w#]*\([^{]*\);$/g, ';'],
];

function mutantsOf(code: string): Mutant[] {
  return code.split('\n').flatMap((before, line) => {
    const text = before.replace(/\/\/.*$/, '');
    if (/^\s*(\*|\/\*|import |export \{)/.test(before)) return [];
    return breaks.flatMap(([what, instead]) =>
      [...text.matchAll(what)].map(({ index, 0: found }) => ({
        line,
        before,
        after: text.slice(0, index) + instead + text.slice(index + found.length),
      })),
    );
  });
}

const words = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'longhaul-mutation-'));
const library = 'packages/longhaul';
for (const name of ['dist', `${library}/dist`, `${library}/package.json`])
  cpSync(join(root, name), join(folder, name), { recursive: true });
for (const name of ['node_modules', 'package.json', 'topology.json'])
  symlinkSync(join(root, name), join(folder, name));

// Made-up programs come last, and by their own command.
const testsOf = (path: string) =>
  readdirSync(join(folder, 'dist/test', path))
    .filter((name) => name.endsWith('.test.js') && !/^(promises|keyed|year)/.test(name))
    .map((name) => join(folder, 'dist/test', path, name));
const rules = testsOf('pipeline');
const others: Record<string, string[]> = {
  schedules: testsOf('schedules'),
  azure: [join(folder, 'dist/test/azure/group-commit.test.js')],
};

function killAll(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

const cases = ['--test', '--test-concurrency=2', '--test-timeout=60000'];

function run(...args: string[]): boolean {
  const options = {
    timeout: 90_000,
    env: { ...process.env, RUNS: '40' },
    stdio: 'ignore',
    killSignal: 'SIGKILL',
    detached: true,
  } as const;
  const { pid, status } = spawnSync(process.execPath, args, options);
  // A mutant that goes round and round is a child of what was killed.
  if (status === null) killAll(pid);
  return status === 0;
}

function survivesOwn(file: string, part: string): boolean {
  const own = (others[part] ?? rules).filter(
    (test) => basename(test, '.test.js') === basename(file, '.js'),
  );
  return own.length === 0 || run(...cases, ...own);
}

/** Its own cases first, then all: they are quick, and notice most. */
const survives = (file: string, part: string): boolean =>
  run('--check', file) &&
  survivesOwn(file, part) &&
  run(...cases, ...(others[part] ?? rules)) &&
  (part in others ||
    run(join(folder, 'dist/test/pipeline/promises-main.js'), '--runs', '150', '--seed', '1'));

const rooms = /^(define|record|fate|admit|handler|wait|run|schedules|azure)\/.*\.js$/;
const files = (readdirSync(join(folder, library, 'dist'), { recursive: true }) as string[])
  .filter((name) => rooms.test(name))
  .filter((name) => words.some((word) => name.includes(word)));
const say = (text: string) => process.stdout.write(`${text}\n`);
for (const name of files) {
  const file = join(folder, library, 'dist', name);
  const code = readFileSync(file, 'utf8');
  const mutants = mutantsOf(code);
  let left = 0;
  for (const { line, before, after } of mutants) {
    const lines = code.split('\n');
    lines[line] = after;
    writeFileSync(file, lines.join('\n'));
    if (!survives(file, name.split('/')[0] ?? '')) continue;
    left++;
    say(`${name}:${line + 1}\n  - ${before.trim()}\n  + ${after.trim()}`);
  }
  writeFileSync(file, code);
  say(`${name}: ${mutants.length} broken, ${left} not noticed`);
}
rmSync(folder, { recursive: true, force: true });
