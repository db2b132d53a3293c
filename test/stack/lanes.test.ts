/** Priority between lanes, fairness between keys, listeners, expiry: each test with a stack of its own. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient, type Problem } from '../support/client.ts';
import { readLines } from '../support/lines.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-lanes-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function withStack(
  settings: Record<string, string>,
  act: (client: ReturnType<typeof createClient>) => Promise<void>,
) {
  const stack = await testStack({ settings });
  try {
    await act(createClient(stack.url));
  } finally {
    await stack.remove();
  }
}

test('when all places are taken, urgent goes before standard before bulk', async () => {
  await withStack({ JOBS_AT_ONCE: '1' }, async (client) => {
    const log = join(folder, 'lanes');
    const submit = (name: string, priority?: string, ms = 0) =>
      client.submit('test.prioritised', { log, name, ms }, priority ? { priority } : {});
    await submit('first', undefined, 1500);
    await until('the first to run', async () => (await readLines(log)).length === 1);
    const jobs = [];
    for (const lane of ['bulk', 'standard', 'urgent'])
      for (const n of [1, 2]) jobs.push(await submit(`${lane} ${n}`, lane));
    for (const { id } of jobs) await client.ended(id);
    const names = (await readLines(log)).map(({ name }) => String(name).split(' ')[0]);
    assert.deepEqual(names, [
      ...['first', 'urgent', 'urgent', 'standard', 'standard', 'bulk', 'bulk'],
    ]);
    const refused = await client.post({
      type: 'test.prioritised',
      input: { log, name: 'x' },
      priority: 'heavy',
    });
    assert.equal(refused.status, 400);
    assert.match(((await refused.json()) as Problem).detail, /no priority 'heavy'/);
  });
});

test('keys with hundreds of jobs do not hold up the others', async () => {
  const log = join(folder, 'keys');
  const first = await testStack({
    settings: { 'AzureWebJobs.work-standard-keyed.Disabled': 'true' },
  });
  const before = createClient(first.url);
  // More hot keys than sessions that a host takes at once, so that all are taken.
  const [keys, each] = [20, 30];
  const hot = Array.from({ length: keys * each }, (_, n) => ({ key: `hot ${n % keys}`, n }));
  await Promise.all(hot.map((one) => before.submit('test.keyed', { log, ms: 5, ...one })));
  const late = await before.submit('test.keyed', { log, key: 'late', n: 0, ms: 5 });
  await first.stop();
  const second = await testStack({ ...first.options, settings: {} });
  try {
    await createClient(second.url).ended(late.id);
    const lines = (await readLines(log)).filter(({ what }) => what === 'begin');
    const others = lines.findIndex(({ key }) => key === 'late');
    // Drained one after the other, the first sixteen keys alone have 480.
    assert.ok(others >= 0 && others < 400, `${others} jobs of others came first`);
  } finally {
    await second.remove();
  }
});

test('listeners hear what happens to a job, and one that fails harms nothing', async () => {
  const events = join(folder, 'events');
  await withStack({ TEST_EVENTS: events }, async (client) => {
    const log = join(folder, 'noted');
    const fine = await client.submit('test.counting', { log, steps: 2, ms: 0 });
    const failing = await client.submit('test.failing', { log });
    const cancelled = await client.submit('test.echo', { value: 1 }, { delay: '1h' });
    await client.call(`/jobs/${cancelled.id}/cancel`, { method: 'POST' });
    const expired = await client.submit(
      'test.echo',
      { value: 1 },
      { delay: '500ms', expiresIn: '1ms' },
    );
    for (const { id } of [fine, failing, cancelled, expired]) await client.ended(id);
    const heard = async (id: string) =>
      (await readLines(events))
        .filter(({ subject }) => subject === id)
        .map(({ type }) => String(type).replace('longhaul.job.', ''));
    await until('the last event', async () => (await heard(failing.id)).includes('dead-lettered'));
    assert.deepEqual((await heard(failing.id)).sort(), [
      ...['dead-lettered', 'enqueued', 'failed', 'retried', 'retried'],
      ...['started', 'started', 'started'],
    ]);
    const ofFine = await heard(fine.id);
    for (const what of ['enqueued', 'started', 'progress', 'succeeded'])
      assert.ok(ofFine.includes(what), `${what} is not in ${ofFine}`);
    assert.deepEqual((await heard(cancelled.id)).sort(), ['cancelled', 'enqueued']);
    assert.deepEqual((await heard(expired.id)).sort(), ['enqueued', 'expired']);
    const [event] = (await readLines(events)).filter(({ type }) => type === 'longhaul.job.retried');
    assert.ok(event);
    assert.equal(event['specversion'], '1.0');
    assert.equal(
      (event['data'] as { error: { message: string } }).error.message,
      'Attempt 1 fails',
    );
  });
});

test('an expired job is gone: 410 for its status, result and files', async () => {
  await withStack({}, async (client) => {
    const { id } = await client.submit('test.shortlived', {});
    await client.ended(id);
    await until('its expiry', async () => (await client.call(`/jobs/${id}`)).status === 410);
    for (const path of ['', '/result', '/files/a.txt'])
      assert.equal((await client.call(`/jobs/${id}${path}`)).status, 410);
    const listed = await client.call('/jobs?type=test.shortlived');
    assert.deepEqual(((await listed.json()) as { jobs: unknown[] }).jobs, []);
    const problem = (await (await client.call(`/jobs/${id}`)).json()) as Problem;
    assert.equal(problem.code, 'job_expired');
    assert.equal((await client.call('/jobs/never')).status, 404);
  });
});

test('a key in two lanes at once has a session in each: neither reads the other', async () => {
  await withStack({}, async (client) => {
    const lanes = ['standard', 'bulk', 'standard', 'bulk', 'standard', 'bulk'];
    const jobs = [];
    for (const lane of lanes)
      jobs.push(await client.submit(`test.counts-${lane}`, { key: 'one for both', ms: 150 }));
    for (const [at, { id }] of jobs.entries()) {
      const { ran } = (await client.ended(id)).result as { ran: string[] };
      assert.deepEqual(ran, Array(Math.floor(at / 2)).fill(lanes[at]));
    }
  });
});
