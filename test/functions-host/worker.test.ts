/** Host and worker are two processes: how the one ends, and what the other makes of it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isAlive } from '../support/alive.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let folder: string;
let terminated: string;
let stack: Awaited<ReturnType<typeof testStack>>;
const call = (path: string, init?: RequestInit) => fetch(`${stack.url}/api/${path}`, init);
const pid = async () => (await (await call('pid')).json()) as number;
/** Of the worker that is there, or of the next. */
const workerPid = () => until('a worker', () => pid().catch(() => undefined));
const start = (settings: Record<string, string> = {}) =>
  testStack({
    main: 'dist/test/support/host-app.js',
    data: join(folder, 'data'),
    settings: {
      PLAIN_QUEUE: 'standard',
      TICK: '0 0 0 1 1 *',
      TERMINATED: terminated,
      TERMINATE_MS: '300',
      AzureFunctionsJobHost__functionTimeout: '00:00:03',
      ...settings,
    },
  });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-worker-'));
  terminated = join(folder, 'terminated');
  stack = await start();
});
after(async () => {
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a worker that dies takes its calls with it, and another comes', async () => {
  const before = await workerPid();
  const sleeping = call('sleep/2000');
  assert.ok([500, 502].includes((await call('exit', { method: 'POST' })).status));
  assert.ok([500, 502].includes((await sleeping).status));
  const next = await workerPid();
  assert.notEqual(next, before);
  assert.equal(await isAlive(before), false);
});

test('a call that lasts longer than functionTimeout ends its worker', async () => {
  const before = await workerPid();
  const began = Date.now();
  assert.ok([500, 502].includes((await call('sleep/60000')).status));
  assert.ok(Date.now() - began < 10_000);
  assert.notEqual(await workerPid(), before);
});

test('after three deaths the host starts again, on its port', async () => {
  const { process: host } = stack.parts.host;
  const before = await workerPid();
  for (let death = 0; death < 4; death++) {
    process.kill(await workerPid(), 'SIGKILL');
    await until(
      'its end',
      () =>
        pid().then(
          () => false,
          () => true,
        ),
      1_000,
    ).catch(() => undefined);
  }
  assert.notEqual(await workerPid(), before);
  assert.equal(host.exitCode, null);
});

test('a host that is killed leaves no worker behind, not even one that runs in circles', async () => {
  const worker = await workerPid();
  const circles = call('circles').catch(() => undefined);
  await until('it to be busy', async () => !(await answersWithin(pid(), 300)));
  stack.parts.host.process.kill('SIGKILL');
  await circles;
  await until('its end', async () => !(await isAlive(worker)), 10_000);
  await stack.stop();
  stack = await start();
});

const answersWithin = (work: Promise<unknown>, ms: number) =>
  Promise.race([
    work.then(
      () => true,
      () => false,
    ),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), ms)),
  ]);

test('shutdown is WorkerTerminate: the hook is awaited, five seconds long', async () => {
  await stack.stop();
  assert.equal(await readFile(terminated, 'utf8'), 'begins ends');
  await rm(terminated);
  stack = await start({ TERMINATE_MS: '60000' });
  const worker = await workerPid();
  const began = Date.now();
  await stack.parts.host.stop();
  const took = Date.now() - began;
  assert.ok(took > 4_500 && took < 9_000, `${took} ms`);
  assert.equal(await readFile(terminated, 'utf8'), 'begins ');
  assert.equal(await isAlive(worker), false);
});
