/** Schedules over HTTP, through the whole stack. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient, type Problem, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

interface Shown {
  id: string;
  enabled: boolean;
  next: string[];
  last?: { job: string; state: string; at: string };
  counts: { runs: number; succeeded: number; missed: number };
  history: { at: string; job?: string; state: string }[];
}

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const send = (method: string, path: string, body?: unknown, type = 'application/json') =>
  client.call(`/schedules${path}`, {
    method,
    ...(body === undefined
      ? {}
      : {
          headers: { 'content-type': type },
          body: typeof body === 'string' ? body : JSON.stringify(body),
        }),
  });
const shown = async (path: string) => (await (await send('GET', path)).json()) as Shown;
const echo = { type: 'test.echo', input: { value: 1 } };

test('is made by PUT, shows its next five times, and is changed by saying something else', async () => {
  const body = { ...echo, cron: '0 9 * * 1-5', timeZone: 'Europe/Amsterdam', tenant: 'acme' };
  const made = await send('PUT', '/acme-daily', body);
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('location'), '/api/schedules/acme-daily');
  const { next } = (await made.json()) as Shown;
  assert.equal(next.length, 5);
  const hour = new Intl.DateTimeFormat('nl', { timeZone: 'Europe/Amsterdam', hour: 'numeric' });
  for (const at of next) assert.equal(hour.format(new Date(at)), '09');
  assert.equal((await send('PUT', '/acme-daily', body)).status, 200);
  const moved = await send('PUT', '/acme-daily', { ...body, cron: '30 9 * * 1-5' });
  assert.equal(moved.status, 200);
  assert.match(((await moved.json()) as Shown).next[0] ?? '', /:30:00/);
  const listed = (await (await send('GET', '?tenant=acme')).json()) as { schedules: Shown[] };
  assert.deepEqual(
    listed.schedules.map(({ id }) => id),
    ['acme-daily'],
  );
});

describe('is refused with a clear error', () => {
  const refused: [what: string, body: object, status: number, detail: RegExp][] = [
    ['a cron that never fires', { ...echo, cron: '0 0 30 2 *' }, 400, /never fires/],
    ['a cron that is none', { ...echo, cron: 'daily' }, 400, /\/cron 'daily' cannot be read/],
    ['an unknown zone', { ...echo, cron: '* * * * *', timeZone: 'Mars/Base' }, 400, /IANA name/],
    ['no time at all', echo, 400, /gives one of cron, every and at/],
    ['two times', { ...echo, cron: '* * * * *', every: '5m' }, 400, /gives one of/],
    ['an unknown type', { type: 'nope', every: '5m' }, 422, /no job type 'nope'/],
    ['an input that does not fit', { ...echo, input: { no: 1 }, every: '5m' }, 422, /does not fit/],
    ['a duration of ages', { ...echo, every: '99999999999999d' }, 400, /every: is longer than/],
    ['a jitter of ages', { ...echo, every: '5m', jitter: '5000d' }, 400, /jitter: is longer than/],
    [
      'a cron of days that no month has',
      { ...echo, cron: '0 0 0 31 2,4,6,9,11 *' },
      400,
      /never fires/,
    ],
    ['an unknown field', { ...echo, evry: '5m' }, 400, /evry: is no field of a schedule/],
    ['a lane that the type forbids', { ...echo, every: '5m', lane: 'urgent' }, 400, /priority/],
    [
      'a key beside the type’s own',
      { type: 'test.total', input: { key: 'a', n: 1 }, every: '5m', key: 'b' },
      400,
      /key of its own/,
    ],
  ];
  for (const [what, body, status, detail] of refused)
    test(what, async () => {
      const response = await send('PUT', '/refused', body);
      const problem = (await response.json()) as Problem;
      assert.equal(response.status, status, problem.detail);
      assert.match(problem.detail, detail);
      assert.equal((await send('GET', '/refused')).status, 404);
    });
});

test('an id that cannot be is that of no schedule', async () => {
  assert.equal((await send('GET', '/a%2Fb')).status, 404);
  assert.equal((await send('PATCH', '/a%2Fb', { enabled: false })).status, 404);
  assert.equal((await send('DELETE', '/a%2Fb')).status, 404);
  assert.equal((await send('POST', '/a%2Fb/run')).status, 404);
  assert.equal((await send('PUT', '/a%2Fb', { ...echo, every: '5m' })).status, 400);
});

test('is paused and goes on by PATCH', async () => {
  await send('PUT', '/paused', { ...echo, every: '1h' });
  const paused = (await (await send('PATCH', '/paused', { enabled: false })).json()) as Shown;
  assert.deepEqual([paused.enabled, paused.next], [false, []]);
  const resumed = (await (await send('PATCH', '/paused', { enabled: true })).json()) as Shown;
  assert.deepEqual([resumed.enabled, resumed.next.length], [true, 1]);
  const wrong = await send('PATCH', '/paused', { every: null, cron: 'x' });
  assert.equal(wrong.status, 400);
  assert.equal((await shown('/paused')).next[0], resumed.next[0], 'nothing has changed');
});

test('runs now when asked to, and its history says how it ended', async () => {
  await send('PUT', '/now', { ...echo, every: '1h', key: 'tenant 7' });
  const response = await send('POST', '/now/run');
  assert.equal(response.status, 202);
  const job = (await response.json()) as Status;
  const ended = await client.ended(job.id);
  assert.deepEqual(
    [ended.state, ended['schedule'], ended['key']],
    ['succeeded', 'now', 'tenant 7'],
  );
  await until('the history', async () => (await shown('/now')).last?.state === 'succeeded');
  const { last, counts } = await shown('/now');
  assert.equal(last?.job, job.id);
  assert.deepEqual([counts.runs, counts.succeeded], [1, 1]);
});

test('fires once at its time, not before', async () => {
  const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 16_000).toISOString();
  await send('PUT', '/once', { ...echo, at });
  await until('its run', async () => (await shown('/once')).last?.state === 'succeeded');
  const { last, next } = await shown('/once');
  assert.equal(last?.at, at);
  assert.deepEqual(next, []);
  const { startedAt = '' } = await client.get(last?.job ?? '');
  assert.ok(startedAt >= at, `${startedAt} is before ${at}`);
});

test('many at once are accepted or refused each by itself, as an array or by the line', async () => {
  const many = Array.from({ length: 250 }, (_, n) => ({ id: `tenant-${n}`, ...echo, every: '1d' }));
  const items = [...many, { id: 'bad', ...echo, cron: 'x' }, { ...echo, every: '1d' }];
  const first = await send('POST', '/batch', items);
  const { accepted, refused, results } = (await first.json()) as {
    accepted: number;
    refused: number;
    results: { status: number; id?: string; error?: { detail: string } }[];
  };
  assert.deepEqual([accepted, refused], [250, 2]);
  assert.equal(results[3]?.id, 'tenant-3');
  assert.match(results[250]?.error?.detail ?? '', /cannot be read/);
  assert.match(results[251]?.error?.detail ?? '', /id: is missing/);
  const lines = many.map((one) => JSON.stringify(one)).join('\n');
  const again = await send('POST', '/batch', lines, 'application/x-ndjson');
  const said = (await again.json()) as { results: { status: number }[] };
  assert.ok(said.results.every(({ status }) => status === 200));
});

test('goes by DELETE; one in the code can be paused and run, not changed', async () => {
  await send('PUT', '/gone', { ...echo, every: '1h' });
  assert.equal((await send('DELETE', '/gone')).status, 204);
  assert.equal((await send('GET', '/gone')).status, 404);
  assert.equal((await send('PUT', '/gone', { ...echo, every: '1h' })).status, 201);
  await until('the declared ones', async () => (await send('GET', '/in-amsterdam')).status === 200);
  assert.equal((await send('DELETE', '/in-amsterdam')).status, 409);
  assert.equal((await send('PATCH', '/in-amsterdam', { cron: '0 8 * * *' })).status, 409);
  assert.equal((await send('PATCH', '/in-amsterdam', { enabled: false })).status, 200);
  assert.equal((await shown('/in-amsterdam')).enabled, false);
});
