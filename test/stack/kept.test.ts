/** What is kept of a job beside its status, on the whole stack. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Span } from '#longhaul/client/http.js';
import { createClient, type Problem, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const json = async <T>(path: string) => (await (await client.call(path)).json()) as T;

test('the input is shown: small, over many columns, and in a blob', async () => {
  for (const chars of [10, 100_000, 300_000]) {
    const text = `é\u{1F600}${'x'.repeat(chars)}`;
    const { id } = await client.submit('test.large', { text, repeat: 1 });
    const shown = () => json<{ text: string }>(`/jobs/${id}/input`);
    assert.equal((await shown()).text, text, 'before it has ended');
    await client.ended(id);
    assert.equal((await shown()).text, text, `${chars} characters`);
    const { jobs } = await json<{ jobs: Status[] }>('/jobs?type=test.large&limit=1');
    assert.deepEqual([jobs[0]?.id, jobs[0]?.state], [id, 'succeeded'], 'the list is as it was');
    assert.equal(jobs[0]?.['input'], undefined);
  }
});

test('what is hidden is not shown, and a type that keeps no input shows none', async () => {
  const input = { card: { number: '4111', name: 'Ada' }, say: [] };
  const { id } = await client.submit('test.secret', input);
  assert.deepEqual((await client.ended(id)).result, { last: '1' });
  const shown = await json<typeof input>(`/jobs/${id}/input`);
  assert.deepEqual(shown.card, { number: '[redacted]', name: 'Ada' });
  const unkept = await client.submit('test.unkept', {});
  await client.ended(unkept.id);
  const answer = await client.call(`/jobs/${unkept.id}/input`);
  assert.deepEqual([answer.status, ((await answer.json()) as Problem).code], [404, 'no_input']);
  assert.equal((await client.call('/jobs/none/input')).status, 404);
});

test('the timeline has the attempt with its instance, and the steps in it', async () => {
  const { id } = await client.submit('test.square', { n: 3 });
  const { version } = await client.ended(id);
  assert.ok(version, 'the status says by which version it began');
  const { spans = [], ...job } = await json<Span>(`/jobs/${id}/timeline`);
  assert.deepEqual([job.kind, job['state'], job['version']], ['job', 'succeeded', version]);
  assert.deepEqual(
    spans.map(({ kind }) => kind),
    ['queue', 'attempt'],
  );
  const [, attempt] = spans;
  assert.ok(attempt?.end && attempt.begin <= attempt.end);
  assert.match(String(attempt['instance']), /:\d+$/);
});

test('lines are there by page, and while the job runs', async () => {
  const card = { number: '4111', name: 'Ada' };
  const { id } = await client.submit('test.secret', { card, say: ['one', 'two'], ms: 4_000 });
  interface Page {
    state: string;
    lines: { message: string; level: string; fields?: unknown }[];
    after: number;
  }
  const page = (from: number, limit = 100) =>
    json<Page>(`/jobs/${id}/log?after=${from}&limit=${limit}`);
  const live = await until('a line', async () => {
    const found = await page(0, 1);
    return found.lines.length > 0 && found;
  });
  assert.ok(['queued', 'running'].includes(live.state), live.state);
  assert.equal(live.lines[0]?.message, 'one');
  assert.equal((await page(live.after)).lines[0]?.message, 'two');
  await client.ended(id);
  const last = await until('the last line', async () => {
    const found = await page(live.after);
    return found.lines.length === 2 && found;
  });
  const { at: _, ...line } = last.lines[1] as never as Record<string, unknown>;
  assert.deepEqual(line, { level: 'warn', message: 'done', attempt: 1, fields: { said: 2 } });
  assert.deepEqual((await page(last.after)).lines, []);
  assert.equal((await client.call(`/jobs/${id}/log?after=x`)).status, 400);
  assert.deepEqual((await json<Page>(`/jobs/${id}/log?after=999999`)).lines, []);
});

test('jobs are found again by their tags', async () => {
  const of = async (tag: string) => {
    const { jobs } = await json<{ jobs: Status[] }>(`/jobs?tag=${encodeURIComponent(tag)}`);
    return jobs.map(({ id }) => id);
  };
  const first = await client.submit('test.unkept', {}, { tags: ["Ada's", 'b'] });
  const second = await client.submit('test.unkept', {}, { tags: ['b'] });
  await client.ended(first.id);
  assert.deepEqual((await client.ended(second.id))['tags'], ['of its type', 'b']);
  assert.deepEqual(await of("Ada's"), [first.id]);
  assert.deepEqual((await of('b')).sort(), [first.id, second.id].sort());
  assert.deepEqual(await of('none'), []);
  const refused = await client.post({ type: 'test.unkept', input: {}, tags: ['a,b'] });
  assert.equal(refused.status, 400);
});
