/**
 * Records what a version leaves behind, for versions.test.ts. In a checkout of that version, built:
 *   git worktree add ../then TAG && (cd ../then && npm ci && npm run build)
 *   npm run versions:record -- ../then TAG
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePorts } from '#dev/stack/ports.js';
import { readTopology } from '#longhaul/model/topology.js';
import { createClient } from '../../support/client.ts';
import { root } from '../../support/stack.ts';
import { until } from '../../support/until.ts';
import { type Kept, keptIn } from './kept.ts';

const app = 'dist/test/deploy/versions/app.js';

/** The stack of that version, with nobody to work the lane `bulk`. */
async function start(then: string, data: string) {
  await mkdir(join(then, 'dist/test/deploy/versions'), { recursive: true });
  await cp(join(root, app), join(then, app));
  const file = pathToFileURL(join(then, 'packages/longhaul-dev/dist/stack/stack.js')).href;
  const { startStack } = (await import(file)) as typeof import('#dev/stack/stack.js');
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
  return startStack({
    root: then,
    data,
    host: '127.0.0.1',
    ports: { http, serviceBus, blob, queue, table },
    main: app,
    settings: { LANES: 'urgent,standard,heavy', KEPT_FAILS: 'yes' },
  });
}

type Client = ReturnType<typeof createClient>;

/** One job of each kind, each as far as it gets. */
async function standStill({ submit, post, get, call }: Client): Promise<Record<string, string>> {
  const id = async (type: string, input: object, more = {}) => (await submit(type, input, more)).id;
  const jobs: Record<string, string> = {
    plain: await id('kept.plain', { n: 1 }),
    delayed: await id('kept.plain', { n: 2 }, { delay: '1h' }),
    large: await id('kept.large', { text: 'long '.repeat(40_000) }),
    first: await id('kept.keyed', { key: 'a key / of %2F', n: 1 }),
    second: await id('kept.keyed', { key: 'a key / of %2F', n: 2 }),
    replied: await id('kept.plain', { n: 3 }, { replyTo: 'replies', correlationId: 'then' }),
    event: await id('kept.event', { n: 4 }, { requestedBy: 'ada' }),
    cancelled: await id('kept.event', { n: 5 }),
    sleep: await id('kept.sleep', { n: 6 }),
    family: await id('kept.family', { n: 3 }),
    again: await id('kept.again', { n: 7 }),
    unique: await id('kept.unique', { n: 8 }),
    ended: await id('kept.ended', { n: 10 }),
    'ended large': await id('kept.ended', { n: 100_000 }),
    failed: await id('kept.failed', { n: 9 }),
  };
  const once = { 'idempotency-key': 'then' };
  const same = await post({ type: 'kept.event', input: { n: 10 } }, once);
  jobs['idempotent'] = ((await same.json()) as { id: string }).id;
  const body = JSON.stringify({
    type: 'kept.plain',
    input: { n: 11 },
    cron: '0 0 1 1 *',
    tenant: 'acme',
  });
  const headers = { 'content-type': 'application/json' };
  const made = await call('/schedules/kept', { method: 'PUT', headers, body });
  if (made.status !== 201) throw new Error(await made.text());
  const states: Record<string, string> = {
    ...{ event: 'waiting', cancelled: 'waiting', sleep: 'waiting', family: 'waiting' },
    ...{ again: 'queued', unique: 'waiting', ended: 'succeeded', 'ended large': 'succeeded' },
    ...{ failed: 'failed', idempotent: 'waiting' },
  };
  for (const [name, state] of Object.entries(states))
    await until(`${name} ${state}`, async () => {
      const now = await get(jobs[name] ?? '');
      return now.state === state && (name !== 'again' || now.attempt > 1);
    });
  return jobs;
}

const [then = '', commit = ''] = process.argv.slice(2);
const data = await mkdtemp(join(tmpdir(), 'longhaul-then-'));
const stack = await start(resolve(then), data);
try {
  const client = createClient(stack.url);
  const jobs = await standStill(client);
  await stack.parts.host.stop();
  const { lanes, completions } = readTopology(
    new URL(`file://${join(resolve(then), 'topology.json')}`),
  );
  const queues = [...lanes.flatMap(({ plain, keyed }) => [plain, keyed]), completions];
  const kept: Kept = { commit, jobs, ...(await keptIn(stack.storage, stack.serviceBus, queues)) };
  const file = join(root, `test/deploy/versions/${commit}.json`);
  // Stack traces name where that checkout lay.
  const text = JSON.stringify(kept, null, 1).replaceAll(resolve(then), '/then');
  await writeFile(file, `${text}\n`);
  execFileSync('npx', ['biome', 'format', '--write', file], { cwd: root });
  process.stdout.write(`${file}\n`);
} finally {
  await stack.stop();
  await rm(data, { recursive: true, force: true });
}
