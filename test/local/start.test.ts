/** `npm start` as a user has it: what it says, where it listens, how it ends. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createClient } from '../support/client.ts';
import { freePortSettings } from '../support/port-settings.ts';
import { root } from '../support/stack.ts';
import { until } from '../support/until.ts';

const main = fileURLToPath(import.meta.resolve('#dev/cli/main.js'));
let folder: string;
let env: NodeJS.ProcessEnv;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-start-'));
  env = { ...process.env, ...(await freePortSettings()), LONGHAUL_DATA: folder };
});
after(() => rm(folder, { recursive: true, force: true }));

function start(): { child: ChildProcess; output(): string } {
  const child = spawn(process.execPath, [main, 'start'], { cwd: root, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => {
      output += chunk;
    });
  return { child, output: () => output };
}

const ready = (started: ReturnType<typeof start>) =>
  until('Ready', () => started.output().includes('Ready in'), 30_000);

test('says what is where, survives SIGKILL at once, and ends cleanly at Ctrl-C', async () => {
  const first = start();
  await ready(first);
  for (const line of [/^API +http:\/\/127\.0\.0\.1:\d+/m, /^Service Bus +Endpoint=/m, /^Storage/m])
    assert.match(first.output(), line);
  const client = createClient(`http://127.0.0.1:${env['PORT']}`);
  const { id } = await client.submit(
    'report',
    { data: 'a\n1\n1', groupBy: ['a'] },
    { delay: '2s' },
  );
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  // At once: the parts end with their parent, and the ports are waited for.
  const second = start();
  await ready(second);
  assert.equal((await client.ended(id)).state, 'succeeded');
  second.child.kill('SIGINT');
  const [code] = await once(second.child, 'exit');
  assert.equal(code, 0, second.output());
  assert.match(second.output(), /Stopped\.\n$/);
});

test('listens on loopback only', async () => {
  const started = start();
  await ready(started);
  try {
    const listening = await promisify(execFile)('ss', ['-ltnpH']).catch(() => undefined);
    // Without `ss` (no Linux) there is nothing to read this from.
    if (!listening) return;
    const pids = await processTree(started.child.pid ?? 0);
    const open = listening.stdout
      .split('\n')
      .filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)))
      .map((line) => line.trim().split(/\s+/)[3] ?? '');
    assert.ok(open.length >= 5, listening.stdout);
    for (const address of open) assert.match(address, /^(127\.0\.0\.1|\[::1\]):\d+$/);
  } finally {
    started.child.kill('SIGINT');
    await once(started.child, 'exit');
  }
});

async function processTree(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-o', 'pid=,ppid=']);
  const all = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    all.flatMap(([child = 0, of]) => (of === parent ? [child, ...below(child)] : []));
  return [pid, ...below(pid)];
}

test('a port in use is named, with the setting that changes it', async () => {
  const taken = createServer().listen(Number(env['SERVICE_BUS_PORT']), '127.0.0.1');
  await once(taken, 'listening');
  const started = start();
  const [code] = await once(started.child, 'exit');
  taken.close();
  assert.equal(code, 1);
  assert.match(
    started.output(),
    new RegExp(`Port ${env['SERVICE_BUS_PORT']} is in use.*SERVICE_BUS_PORT=`),
  );
});
