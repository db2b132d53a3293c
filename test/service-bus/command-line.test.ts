/** `npm run bus` as a user meets it who gets something wrong. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL(import.meta.resolve('#service-bus/process.js')));
let folder: string;
let good: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-command-'));
  good = join(folder, 'good.json');
  await writeFile(good, JSON.stringify({ queues: [{ name: 'q' }] }));
});
after(() => rm(folder, { recursive: true, force: true }));

const run = (...args: string[]): Promise<{ code: unknown; out: string; errors: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], (fault, out, errors) =>
      resolve({ code: fault?.code ?? 0, out, errors }),
    );
  });

test('--help tells every option, and ends', async () => {
  const { code, out } = await run('--help');
  assert.equal(code, 0);
  for (const option of ['topology', 'data', 'port', 'admin-port', 'cert', 'shared-key', 'help'])
    assert.match(out, new RegExp(`--${option}`));
});

test('each setting that is wrong has a line, and none a stack', async () => {
  await writeFile(join(folder, 'bad.json'), '{ "queues": [{ "name": 1 }] }');
  await writeFile(join(folder, 'none.json'), 'no JSON');
  const cases: [args: string[], told: RegExp][] = [
    [['--prot', '1'], /--prot/],
    [['--port', 'http', '--admin-port', '70000'], /--port is 'http'.*\n--admin-port is '70000'/],
    [['--max-message-bytes', '-1'], /max-message-bytes/],
    [['--shared-key', 'root'], /NAME=KEY/],
    [['--cert', 'x.pem'], /--cert and --key belong together/],
    [['--cert', join(folder, 'x.pem'), '--key', join(folder, 'x.pem')], /--cert: ENOENT/],
    [['--topology', join(folder, 'missing.json')], /--topology: ENOENT/],
    [['--topology', join(folder, 'none.json')], /--topology: .*JSON/],
    [['--topology', join(folder, 'bad.json')], /queues\.0\.name/],
    [['--data', good], /good\.json/],
  ];
  for (const [args, told] of cases) {
    const { code, errors } = await run('--topology', good, '--port', '0', ...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(errors, told);
    assert.doesNotMatch(errors, /\n\s+at /, 'a stack');
  }
});

test('a port that is taken is told of in a line', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const { code, errors } = await run('--topology', good, '--port', String(port));
  taken.close();
  assert.equal(code, 2);
  assert.match(errors, /EADDRINUSE/);
  assert.doesNotMatch(errors, /\n\s+at /);
});
