/** The worker dies, the host lives: what becomes of the jobs in it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient, type Status } from '../support/client.ts';
import { readLines } from '../support/lines.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let folder: string;
let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;

const start = async () => {
  stack = await testStack({ data: join(folder, 'data') });
  client = createClient(stack.url);
};
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-worker-dies-'));
  await start();
});
after(async () => {
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

const pidOf = async () => {
  const { id } = await client.submit('test.pid', {});
  return ((await client.ended(id)).result as { pid: number }).pid;
};

/** A job of thirty steps that has done five, and how often it did each. */
async function counting(name: string) {
  const log = join(folder, name);
  const { id } = await client.submit('test.counting', { log, steps: 30, ms: 100 });
  await until('five steps', async () => ((await client.get(id)).progress?.done ?? 0) >= 5);
  return { id, steps: async () => (await readLines(log)).map(({ step }) => step) };
}

test('a job goes on from its checkpoint at once, and who waits over HTTP is told', async () => {
  const pid = await pidOf();
  const { id, steps } = await counting('killed');
  const waiting = client.call(`/jobs/${id}`, { headers: { prefer: 'wait=20' } });
  process.kill(pid, 'SIGKILL');
  assert.ok([200, 500, 502].includes((await waiting).status));
  const began = Date.now();
  const { state, attempt } = await until('its end', () => client.ended(id).catch(() => undefined));
  assert.deepEqual([state, attempt], ['succeeded', 1]);
  // Handed back by the host, not left to its lock.
  assert.ok(Date.now() - began < 20_000, `${Date.now() - began} ms`);
  const done = await steps();
  assert.equal(new Set(done).size, 31);
  assert.ok(done.length <= 32, `${done.length} steps for 31`);
  assert.notEqual(await pidOf(), pid);
});

test('at a shutdown the worker hands back what it runs, with its steps kept', async () => {
  const { id, steps } = await counting('stopped');
  await stack.stop();
  await start();
  const began = Date.now();
  const { state, attempt } = await client.ended(id);
  assert.deepEqual([state, attempt], ['succeeded', 1]);
  assert.ok(Date.now() - began < 20_000, `${Date.now() - began} ms`);
  assert.ok((await steps()).length <= 32);
});

test('a job that ends its process is failed after its own deaths; thirty beside it succeed', async () => {
  const neighbours = await Promise.all(
    Array.from({ length: 30 }, () => client.submit('test.pid', { ms: 1_000 })),
  );
  // It may end its process, which looks as if all were well, before its own submit is answered.
  const asked = { type: 'test.deadly', input: { ms: 300, code: 0 } };
  const poison = await until('the poison', async () => {
    const answered = await client
      .post(asked, { 'idempotency-key': 'poison' })
      .catch(() => undefined);
    return answered?.ok && ((await answered.json()) as Status);
  });
  const ended = await Promise.all(
    [poison, ...neighbours].map(({ id }) =>
      until(`the end of ${id}`, () => client.ended(id, 150_000).catch(() => undefined), 150_000),
    ),
  );
  const [dead, ...others] = ended;
  assert.deepEqual([dead?.state, dead?.error?.code], ['failed', 'crashed']);
  for (const { state, attempt, error } of others)
    assert.deepEqual([state, attempt], ['succeeded', 1], error?.message);
});
