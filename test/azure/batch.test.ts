/** The adapter against a server that speaks Batch's REST API as its reference shows it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { createBatch } from '#longhaul/azure/batch.js';
import { NonRetryableError } from '#longhaul/errors.js';

interface Asked {
  method: string;
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: the test looks into bodies
  body: any;
}

const asked: Asked[] = [];
let refuse: { status: number; code: string } | undefined;
const jobs = new Map<string, Set<string>>();
let url = '';

const server = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://batch');
  const body = text ? JSON.parse(text) : undefined;
  asked.push({ method: request.method ?? '', path: pathname, body });
  const answer = (status: number, value?: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(value === undefined ? '' : JSON.stringify(value));
  };
  const error = (status: number, code: string) =>
    answer(status, { code, message: { value: code } });
  if (request.headers.authorization !== 'Bearer test') return error(401, 'AuthenticationFailed');
  if (searchParams.get('api-version') !== '2024-07-01.20.0') return error(400, 'InvalidQuery');
  if (refuse) return error(refuse.status, refuse.code);
  const [, , id = '', what] = pathname.split('/');
  if (request.method === 'POST' && !id) {
    if (jobs.has(body.id)) return error(409, 'JobExists');
    jobs.set(body.id, new Set());
    return answer(201);
  }
  const tasks = jobs.get(id);
  if (!tasks) return error(404, 'JobNotFound');
  if (what === 'taskcounts') {
    return answer(200, {
      taskCounts: { active: 1, running: 2, completed: 5, succeeded: 4, failed: 1 },
    });
  }
  if (request.method === 'DELETE') {
    jobs.delete(id);
    return answer(202);
  }
  const value = (body.value as { id: string }[]).map((task) => {
    const exists = tasks.has(task.id);
    tasks.add(task.id);
    return exists
      ? { status: 'clienterror', taskId: task.id, error: { code: 'TaskExists' } }
      : { status: 'success', taskId: task.id };
  });
  answer(200, { value });
});

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
after(() => server.close());

const credential = {
  async getToken(scope: string | string[]) {
    assert.equal(scope, 'https://batch.core.windows.net/.default');
    return { token: 'test', expiresOnTimestamp: Date.now() + 60_000 };
  },
};
const batch = () => createBatch({ url, pool: 'pool', credential });
const tasks = Array.from({ length: 250 }, (_, n) => ({
  id: n + 1,
  command: 'simulate',
  environment: { PART: String(n) },
}));

test('tasks go a hundred a call; submitting again changes nothing', async () => {
  const all = [
    ...tasks,
    { id: 251, command: 'tell', environment: {}, after: { from: 1, to: 250 } },
  ];
  await batch().submit('a', all);
  await batch().submit('a', all);
  const sizes = asked
    .filter(({ path }) => path.endsWith('collection'))
    .map(({ body }) => body.value.length);
  assert.deepEqual(sizes, [100, 100, 51, 100, 100, 51]);
  assert.equal(jobs.get('a')?.size, 251);
  assert.deepEqual(asked[0]?.body, {
    id: 'a',
    poolInfo: { poolId: 'pool' },
    usesTaskDependencies: true,
  });
  const last = asked.findLast(({ path }) => path.endsWith('collection'))?.body.value.at(-1);
  assert.deepEqual(last.dependsOn, { taskIdRanges: [{ start: 1, end: 250 }] });
});

test('counts, and removal, also of what is gone', async () => {
  assert.deepEqual(await batch().counts('a'), { succeeded: 4, failed: 1, open: 3 });
  await batch().remove('a');
  await batch().remove('a');
  assert.deepEqual(await batch().counts('a'), { succeeded: 0, failed: 0, open: 0 });
});

test('what is wrong for good is not tried again, what may pass is', async () => {
  refuse = { status: 403, code: 'AuthorizationFailed' };
  await assert.rejects(
    batch().counts('a'),
    (error) => error instanceof NonRetryableError && /403/.test(error.message),
  );
  refuse = { status: 503, code: 'ServerBusy' };
  await assert.rejects(
    batch().counts('a'),
    (error) => !(error instanceof NonRetryableError) && /503/.test(String(error)),
  );
  refuse = undefined;
});
