/**
 * Two versions at once, as while a deployment rolls: a host of each on one bus and one storage, jobs
 * submitted to both. Exits with 1 if one does not come to its end. In a built checkout of the earlier one:
 *   npm run versions:beside -- ../then
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePorts } from '#dev/stack/ports.js';
import { startStack } from '#dev/stack/stack.js';
import { createClient } from '../../support/client.ts';
import { root } from '../../support/stack.ts';

const app = 'dist/test/deploy/versions/app.js';
const rounds = 25;
const withinMs = 90_000;

const then = resolve(process.argv[2] ?? root);
await mkdir(join(then, 'dist/test/deploy/versions'), { recursive: true });
if (then !== resolve(root)) await cp(join(root, app), join(then, app));
const earlier = (await import(
  pathToFileURL(join(then, 'packages/longhaul-dev/dist/stack/stack.js')).href
)) as typeof import('#dev/stack/stack.js');

const data = await mkdtemp(join(tmpdir(), 'longhaul-beside-'));
const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0, other = 0] = await freePorts(6);
const ports = { http, serviceBus, blob, queue, table };
const common = { data, host: '127.0.0.1', main: app };
const stack = await startStack({ ...common, root, ports });
const second = await earlier.startFunctions(
  { ...common, root: then, ports: { ...ports, http: other } },
  stack.serviceBus,
  stack.storage,
);
const clients = [createClient(stack.url), createClient(`http://127.0.0.1:${other}`)] as const;

const jobs: { type: string; id: string }[] = [];
for (let n = 0; n < rounds; n++)
  for (const [who, client] of clients.entries()) {
    const asked: [string, object, object?][] = [
      ['kept.plain', { n }],
      ['kept.keyed', { key: `key ${n % 5}`, n }],
      ['kept.family', { n: 4 }],
      ['kept.plain', { n }, { replyTo: 'replies' }],
    ];
    for (const [type, input, more] of asked) jobs.push(await client.submit(type, input, more));
    const waiting = await client.submit('kept.event', { n });
    jobs.push(waiting);
    // Told by the other one.
    const headers = { 'content-type': 'application/json' };
    const path = `/jobs/${waiting.id}/events/go`;
    await clients[1 - who]?.call(path, { method: 'POST', headers, body: '{"by":"both"}' });
  }

const end = Date.now() + withinMs;
const wrong: string[] = [];
for (const { type, id } of jobs) {
  const left = Math.max(500, end - Date.now());
  const last = await clients[0].ended(id, left).catch(() => clients[0].get(id));
  if (last.state !== 'succeeded') wrong.push(`${type} ${id} is ${last.state}`);
}
await second.stop();
await stack.stop();
await rm(data, { recursive: true, force: true });
process.stdout.write(
  [...wrong, `${jobs.length} jobs, ${wrong.length} not ended well`, ''].join('\n'),
);
process.exitCode = wrong.length > 0 ? 1 : 0;
