/** Many at once, and watching: server-sent events of a job and of somebody's jobs. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { createClient, type Status } from '../support/client.ts';
import { readEvents } from '../support/sse.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

const watch = (path: string, last?: string) => readEvents(`${stack.url}/api${path}`, last);
const counting = (steps: number, ms: number) =>
  client.submit('test.counting', { log: `${stack.options.data}/counting`, steps, ms });

test('a job is watched from its submit to its end', async () => {
  const { id } = await counting(5, 300);
  const states: unknown[] = [];
  const done: number[] = [];
  for await (const { event, data } of watch(`/jobs/${id}/events`)) {
    if (event === 'state') states.push(data['state']);
    else done.push((data['progress'] as { done: number }).done);
    if (data['state'] === 'succeeded') assert.deepEqual(data['result'], { total: 5, chosen: id });
  }
  assert.deepEqual(states, ['queued', 'running', 'succeeded']);
  assert.ok(done.length >= 2, `${done}`);
  assert.deepEqual(
    done,
    [...done].sort((a, b) => a - b),
  );
});

test('a client that drops and comes back misses no state, and is told none twice', async () => {
  const { id } = await counting(5, 300);
  const states: unknown[] = [];
  let last: string | undefined;
  for (let ended = false; !ended; ) {
    for await (const { id: eventId, event, data } of watch(`/jobs/${id}/events`, last)) {
      last = eventId;
      if (event === 'state') states.push(data['state']);
      ended = data['state'] === 'succeeded';
      break;
    }
    // Away for a while.
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  assert.deepEqual(states, ['queued', 'running', 'succeeded']);
});

test('a job that has ended tells all at once; one that is none is a 404', async () => {
  const { id } = await client.submit('test.echo', { value: 1 });
  await client.ended(id);
  const states: unknown[] = [];
  for await (const { event, data } of watch(`/jobs/${id}/events`))
    if (event === 'state') states.push(data['state']);
  assert.deepEqual(states, ['queued', 'running', 'succeeded']);
  await assert.rejects(watch('/jobs/none/events').next(), /404/);
});

test('five hundred watch at once, each to the end', async () => {
  const { id } = await counting(3, 500);
  const ends = await Promise.all(
    Array.from({ length: 500 }, async () => {
      let last: unknown;
      for await (const { data } of watch(`/jobs/${id}/events`)) last = data['state'];
      return last;
    }),
  );
  assert.ok(ends.every((state) => state === 'succeeded'));
});

test("somebody's jobs are told as they end, also those that ended while nobody listened", async () => {
  const ask = (value: number) =>
    client.submit('test.echo', { value }, { requestedBy: 'ada' }).then(({ id }) => id);
  const told: unknown[] = [];
  const watching = watch('/events?requestedBy=ada');
  const first = watching.next();
  // Once the stream is open, or the end may come before it.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const one = await ask(1);
  const event = (await first).value;
  assert.ok(event);
  told.push(event.data['job']);
  assert.equal(event.event, 'longhaul.job.succeeded');
  await watching.return();
  const two = await ask(2);
  await client.submit('test.echo', { value: 3 }, { requestedBy: 'bob' });
  await client.ended(two);
  for await (const { data } of watch('/events?requestedBy=ada', event.id)) {
    told.push(data['job']);
    break;
  }
  assert.deepEqual(told, [one, two]);
});

test('many jobs in one request, each accepted or refused by itself; sent twice they are one', async () => {
  const good = Array.from({ length: 300 }, (_, n) => ({ type: 'test.echo', input: { value: n } }));
  const items = [...good, { type: 'nope' }, { type: 'test.echo', input: { no: 1 } }, { typ: 'x' }];
  const send = async (body: string, type: string) => {
    const response = await client.call('/jobs/batch', {
      method: 'POST',
      headers: { 'content-type': type, 'idempotency-key': 'batch-1' },
      body,
    });
    assert.equal(response.status, 200);
    return (await response.json()) as {
      accepted: number;
      refused: number;
      results: { status: number; id?: string; error?: { code: string } }[];
    };
  };
  const first = await send(JSON.stringify(items), 'application/json');
  assert.deepEqual([first.accepted, first.refused], [300, 3]);
  assert.deepEqual(
    first.results.slice(300).map(({ status, error }) => [status, error?.code]),
    [
      [422, 'unknown_job_type'],
      [422, 'invalid_input'],
      [400, 'bad_request'],
    ],
  );
  const lines = items.map((item) => JSON.stringify(item)).join('\n');
  const again = await send(lines, 'application/x-ndjson');
  assert.deepEqual(
    again.results.map(({ id }) => id),
    first.results.map(({ id }) => id),
  );
  const id = first.results[299]?.id ?? '';
  assert.deepEqual((await client.ended(id)).result, { value: 299 });
  await until('all of them', async () => {
    const response = await client.call('/jobs?type=test.echo&state=succeeded&limit=1000');
    return ((await response.json()) as { jobs: Status[] }).jobs.length >= 300;
  });
});

test('a blob saved in the inbox of a job type starts that job, once for each version', async () => {
  const inbox = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient('inbox');
  const save = async (name: string, content: string | Buffer) =>
    inbox.getBlockBlobClient(name).uploadData(Buffer.from(content));
  const jobsOf = async (type: string) => {
    const response = await client.call(`/jobs?type=${type}`);
    return ((await response.json()) as { jobs: Status[] }).jobs;
  };
  await save('test.noted/a/b.json', '{"log":"/dev/null","name":"from the inbox"}');
  const [job] = await until('the job', async () => {
    const jobs = await jobsOf('test.noted');
    return jobs.length > 0 && jobs;
  });
  assert.deepEqual((await client.ended(job?.id ?? '')).result, { name: 'from the inbox' });
  await save('test.noted/a/b.json', '{"log":"/dev/null","name":"again"}');
  await until('the second', async () => (await jobsOf('test.noted')).length === 2);
  // Refused, or no folder of a job type: said in the log, and nothing started.
  await save('aside.json', '{"log":"/dev/null","name":"aside"}');
  await save('nothing/x.json', '{}');
  await save('report/rows.csv', 'city,price\nDelft,10\n');
  await save('test.noted/bad.json', '{"no":1}');
  await save('test.noted/last.json', '{"log":"/dev/null","name":"last"}');
  await until('the third', async () => (await jobsOf('test.noted')).length === 3);
  assert.deepEqual(await jobsOf('report'), []);
});
