import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import type { Stack } from '#dev/stack/stack.js';
import { createClient, type Problem, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Stack & { remove(): Promise<void> };
let client: ReturnType<typeof createClient>;
let bus: ServiceBusClient;
let folder: string;
let files = 0;

const logFile = () => join(folder, `log-${files++}`);

async function lines(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
  bus = new ServiceBusClient(stack.serviceBus);
  folder = await mkdtemp(join(tmpdir(), 'longhaul-logs-'));
});

after(async () => {
  await bus?.close();
  await stack?.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('submit', () => {
  test('answers 202 with Location, Retry-After and the status, and the job runs', async () => {
    const response = await client.post({ type: 'test.echo', input: { value: 'hello' } });
    const status = (await response.json()) as Status;
    assert.equal(response.status, 202);
    assert.equal(response.headers.get('location'), `/api/jobs/${status.id}`);
    assert.match(response.headers.get('retry-after') ?? '', /^\d+$/);
    assert.equal(status.state, 'queued');
    const ended = await client.ended(status.id);
    assert.equal(ended.state, 'succeeded');
    const result = await client.call(`/jobs/${status.id}/result`);
    assert.deepEqual(await result.json(), { value: 'hello' });
  });

  test('with Prefer: wait answers 200 with the finished job', async () => {
    const response = await client.post(
      { type: 'test.echo', input: { value: 1 } },
      { prefer: 'wait=20' },
    );
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('preference-applied'), 'wait=20');
    const { state, result } = (await response.json()) as Status;
    assert.deepEqual({ state, result }, { state: 'succeeded', result: { value: 1 } });
  });

  test('takes a job by an earlier name of its type', async () => {
    const { id } = await client.submit('test.parrot', { value: 'x' });
    assert.equal((await client.ended(id)).type, 'test.echo');
  });

  test('with the same Idempotency-Key answers with the same job, once', async () => {
    const headers = { 'idempotency-key': '"order-7"' };
    const body = { type: 'test.echo', input: { value: 'once' } };
    const [first, second] = await Promise.all([
      client.post(body, headers).then((r) => r.json() as Promise<Status>),
      client.post(body, headers).then((r) => r.json() as Promise<Status>),
    ]);
    assert.equal(first.id, second.id);
    const other = await client.post({ type: 'test.echo', input: { value: 'other' } }, headers);
    assert.equal(other.status, 422);
    assert.equal(((await other.json()) as Problem).code, 'idempotency_key_reused');
  });

  test('a refused request does not use up its Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'mended' };
    assert.equal(
      (await client.post({ type: 'test.echo', input: { bad: 1 } }, headers)).status,
      422,
    );
    assert.equal(
      (await client.post({ type: 'test.echo', input: { value: 1 } }, headers)).status,
      202,
    );
  });

  test('carries a large input and a large result past the limits of message and record', async () => {
    const text = 'y'.repeat(3_000_000);
    const { id } = await client.submit('test.large', { text, repeat: 500_000 });
    assert.equal((await client.ended(id)).state, 'succeeded');
    const result = (await (await client.call(`/jobs/${id}/result`)).json()) as {
      length: number;
      text: string;
    };
    assert.equal(result.length, text.length);
    assert.equal(result.text.length, 500_000);
  });

  test('with a delay starts no sooner, and is scheduled until then', async () => {
    const job = await client.submit('test.echo', { value: 1 }, { delay: '1500ms' });
    assert.equal(job.state, 'scheduled');
    const ended = await client.ended(job.id);
    const waited = Date.parse(ended.startedAt ?? '') - Date.parse(job.createdAt);
    assert.ok(waited >= 1450, `started after ${waited} ms`);
  });
});

describe('refusals', () => {
  const refused: [what: string, body: unknown, headers: object, status: number, code: string][] = [
    ['an unknown type', { type: 'nope', input: {} }, {}, 422, 'unknown_job_type'],
    [
      'an input that does not fit',
      { type: 'test.echo', input: { no: 1 } },
      {},
      422,
      'invalid_input',
    ],
    ['an unknown field', { type: 'test.echo', input: {}, dealy: '1s' }, {}, 400, 'bad_request'],
    ['a wrong duration', { type: 'test.echo', delay: 'soon' }, {}, 400, 'bad_request'],
    [
      'delay beside runAt',
      { type: 'test.echo', input: { value: 1 }, delay: '1s', runAt: '2030-01-01T00:00:00Z' },
      {},
      400,
      'bad_request',
    ],
    [
      'a reply queue that is none',
      { type: 'test.echo', input: { value: 1 }, replyTo: 'standard' },
      {},
      400,
      'bad_request',
    ],
    ['malformed JSON', '{"type":', {}, 400, 'bad_request'],
    ['another content type', '{}', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
    ['30 MB', `"${'a'.repeat(30_000_000)}"`, {}, 413, 'payload_too_large'],
  ];
  for (const [what, body, headers, status, code] of refused)
    test(`${what} gets ${status} and a problem document`, async () => {
      const response = await client.post(body, headers as Record<string, string>);
      assert.equal(response.status, status);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      const problem = (await response.json()) as Problem;
      assert.equal(problem.code, code);
      assert.equal(problem.status, status);
      assert.ok(problem.detail.length > 20, problem.detail);
    });

  test('each field that is wrong is named', async () => {
    const response = await client.post({
      type: 'report',
      input: { data: 'a\n1', groupBy: [], chunkRows: 'many' },
    });
    const { errors } = (await response.json()) as Problem;
    const pointers = errors?.map(({ pointer }) => pointer).sort();
    assert.deepEqual(pointers, ['/chunkRows', '/groupBy']);
  });

  for (const path of ['/jobs/nope', '/jobs/nope/result', '/jobs/nope/files/x'])
    test(`GET ${path} gets 404 and a problem document`, async () => {
      const response = await client.call(path);
      assert.equal(response.status, 404);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
    });
});

describe('status', () => {
  test('has an ETag, and answers 304 to who has it', async () => {
    const { id } = await client.submit('test.echo', { value: 1 });
    await client.ended(id);
    const first = await client.call(`/jobs/${id}`);
    const etag = first.headers.get('etag') ?? '';
    assert.match(etag, /^W\/"/);
    const again = await client.call(`/jobs/${id}`, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
    assert.equal(await again.text(), '');
  });

  test('with Prefer: wait answers when something has changed', async () => {
    const { id } = await client.submit('test.echo', { value: 1 }, { delay: '1s' });
    const response = await client.call(`/jobs/${id}`, { headers: { prefer: 'wait=20' } });
    assert.notEqual(((await response.json()) as Status).state, 'scheduled');
  });

  test('shows the progress of a running job', async () => {
    const { id } = await client.submit('test.counting', { log: logFile(), steps: 12, ms: 300 });
    const seen = await until('progress', async () => {
      const { state, progress } = await client.get(id);
      return state === 'running' && progress;
    });
    assert.ok(seen.done >= 1 && seen.of === 12);
    assert.deepEqual((await client.ended(id)).progress, { done: 12, of: 12 });
  });

  test('lists the newest first, filtered and in pages', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      // Within one millisecond the order is open.
      await new Promise((resolve) => setTimeout(resolve, 3));
      ids.push((await client.submit('test.echo', { value: n })).id);
    }
    const page = async (cursor?: string) => {
      const query = `?type=test.echo&limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
      const response = await client.call(`/jobs${query}`);
      return (await response.json()) as { jobs: Status[]; cursor?: string };
    };
    const first = await page();
    const second = await page(first.cursor);
    const listed = [...first.jobs, ...second.jobs].map(({ id }) => id);
    assert.deepEqual(listed, ids.reverse().slice(0, 4));
  });

  test('a result that is not there yet gets 409', async () => {
    const { id } = await client.submit('test.echo', { value: 1 }, { delay: '1h' });
    const response = await client.call(`/jobs/${id}/result`);
    assert.equal(response.status, 409);
    assert.equal(((await response.json()) as Problem).code, 'job_not_finished');
  });
});

describe('failure', () => {
  test('is retried with growing delays, then lies in the dead-letter queue with its reason', async () => {
    const log = logFile();
    const { id } = await client.submit('test.failing', { log });
    const ended = await client.ended(id);
    assert.equal(ended.state, 'failed');
    assert.equal(ended.attempt, 3);
    assert.equal(ended.error?.message, 'Attempt 3 fails');
    assert.equal(ended.error?.cause?.message, 'the cause');
    const times = (await lines(log)).map(({ at }) => Number(at));
    const [first = 0, second = 0, third = 0] = times;
    assert.equal(times.length, 3);
    assert.ok(
      second - first >= 195 && third - second >= 595,
      `delays ${second - first}, ${third - second}`,
    );
    const letter = await deadLetter('standard', id);
    assert.equal(letter.deadLetterReason, 'Error');
    assert.match(letter.deadLetterErrorDescription ?? '', /Attempt 3 fails/);
  });

  test('with a NonRetryableError is not retried', async () => {
    const log = logFile();
    const { id } = await client.submit('test.failing', { log, final: true });
    const ended = await client.ended(id);
    assert.equal(ended.attempt, 1);
    assert.equal((await lines(log)).length, 1);
    assert.equal((await deadLetter('standard', id)).deadLetterReason, 'non_retryable');
    const result = await client.call(`/jobs/${id}/result`);
    assert.equal(result.status, 409);
  });

  test('over its time limit it has failed, whether the handler heeds the signal or not', async () => {
    const jobs = await Promise.all(
      [true, false].map((heeds) => client.submit('test.slow', { ms: 9_000, heeds })),
    );
    for (const { id } of jobs) {
      const ended = await client.ended(id);
      assert.equal(ended.state, 'failed');
      assert.equal(ended.error?.name, 'TimeoutError');
    }
  });

  test('a message of an unknown type is dead-lettered at once, with a record', async () => {
    await bus.createSender('standard').sendMessages({
      messageId: 'straight-1',
      body: { a: 1 },
      applicationProperties: { type: 'nobody.knows' },
    });
    assert.equal((await deadLetter('standard', 'straight-1')).deadLetterReason, 'unknown_job_type');
    assert.equal((await client.get('straight-1')).state, 'failed');
  });

  test('a message whose body is no JSON is dead-lettered at once', async () => {
    await bus.createSender('standard').sendMessages({
      messageId: 'straight-2',
      body: Buffer.from('{not json'),
      contentType: 'application/json',
      applicationProperties: { type: 'test.echo' },
    });
    assert.equal((await deadLetter('standard', 'straight-2')).deadLetterReason, 'invalid_input');
  });
});

async function deadLetter(queue: string, messageId: string) {
  const receiver = bus.createReceiver(queue, { subQueueType: 'deadLetter' });
  try {
    return await until(`${messageId} among the dead letters`, async () => {
      const letters = await receiver.peekMessages(100, { fromSequenceNumber: undefined as never });
      return letters.find((letter) => String(letter.messageId).startsWith(messageId));
    });
  } finally {
    await receiver.close();
  }
}

describe('messages', () => {
  test('sent straight to a lane with nothing but a type run', async () => {
    await bus.createSender('standard').sendMessages({
      messageId: 'straight-3',
      body: { value: 'by hand' },
      contentType: 'application/json',
      applicationProperties: { type: 'test.echo' },
    });
    const ended = await until('straight-3', async () => {
      const response = await client.call('/jobs/straight-3');
      const status = response.status === 200 && ((await response.json()) as Status);
      return status && status.state === 'succeeded' && status;
    });
    assert.deepEqual(ended.result, { value: 'by hand' });
  });

  test('the same one sent twice runs once', async () => {
    const log = logFile();
    const message = {
      messageId: 'twice',
      body: { log, name: 'twice' },
      contentType: 'application/json',
      applicationProperties: { type: 'test.noted' },
    };
    const sender = bus.createSender('standard');
    await sender.sendMessages(message);
    await sender.sendMessages(message);
    await sender.sendMessages({ ...message, messageId: 'marker', body: { log, name: 'marker' } });
    await until(
      'the marker',
      async () =>
        (await lines(log)).some(({ name }) => name === 'marker') &&
        (await client.call('/jobs/twice')).ok,
    );
    assert.equal((await lines(log)).filter(({ name }) => name === 'twice').length, 1);
  });
});

describe('keys', () => {
  test('a key with a limit of three: three at once and never more, shared by both types', async () => {
    const log = logFile();
    const ids = await Promise.all(
      Array.from({ length: 36 }, async (_, n) => {
        const type = n % 4 === 3 ? 'test.keyed' : 'test.limited';
        const job = await client.submit(type, { log, key: 'shared', n, ms: 60 });
        assert.equal(job['key'], 'shared');
        return job.id;
      }),
    );
    for (const id of ids) assert.equal((await client.ended(id)).state, 'succeeded');
    let atOnce = 0;
    let most = 0;
    for (const { what } of (await lines(log)) as { what: string }[]) {
      atOnce += what === 'begin' ? 1 : -1;
      most = Math.max(most, atOnce);
    }
    assert.equal(most, 3);
  });

  test('two hundred jobs over ten keys: one of a key at a time, in order, keys side by side', async () => {
    const log = logFile();
    const submitted: string[] = [];
    // One key's jobs go in one after the other, so that their order is known.
    await Promise.all(
      Array.from({ length: 10 }, async (_, k) => {
        for (let n = 0; n < 20; n++) {
          const input = { log, key: `key-${k}`, n, ms: 5 };
          submitted.push((await client.submit('test.keyed', input)).id);
        }
      }),
    );
    for (const id of submitted) assert.equal((await client.ended(id)).state, 'succeeded');
    const told = (await lines(log)) as { key: string; n: number; what: string; at: number }[];
    let together = 0;
    const running = new Set<string>();
    const next = new Map<string, number>();
    for (const { key, n, what } of told) {
      if (what === 'end') {
        running.delete(key);
        continue;
      }
      assert.ok(!running.has(key), `${key} ran twice at once`);
      assert.equal(n, next.get(key) ?? 0, `${key} out of order`);
      next.set(key, n + 1);
      running.add(key);
      together = Math.max(together, running.size);
    }
    assert.equal(told.length, 400);
    assert.ok(together > 1, 'different keys never ran at the same time');
  });
});

describe('replies', () => {
  test('come with the correlation id, on the asked session, for success and for failure', async () => {
    const receiver = await bus.acceptSession('replies-keyed', 'me');
    const ask = (type: string, input: unknown, correlationId: string) =>
      client.submit(type, input, {
        replyTo: 'replies-keyed',
        replyToSessionId: 'me',
        correlationId,
      });
    const good = await ask('test.echo', { value: 'x' }, 'good');
    const bad = await ask('test.failing', { log: logFile(), final: true }, 'bad');
    const replies = new Map<unknown, { contentType?: string; body: Record<string, unknown> }>();
    await until('two replies', async () => {
      for (const message of await receiver.receiveMessages(2, { maxWaitTimeInMs: 1000 })) {
        replies.set(message.correlationId, message as never);
        await receiver.completeMessage(message);
      }
      return replies.size === 2;
    });
    await receiver.close();
    const success = replies.get('good');
    assert.equal(success?.contentType, 'application/cloudevents+json');
    assert.equal(success?.body['specversion'], '1.0');
    assert.equal(success?.body['type'], 'longhaul.job.succeeded');
    assert.equal(success?.body['subject'], good.id);
    assert.deepEqual((success?.body['data'] as { result?: unknown })?.result, { value: 'x' });
    const failure = replies.get('bad');
    assert.equal(failure?.body['type'], 'longhaul.job.failed');
    assert.equal(failure?.body['subject'], bad.id);
    assert.equal(
      (failure?.body['data'] as { error?: { message: string } })?.error?.message,
      'No use in trying again',
    );
  });
});

describe('cancel', () => {
  test('a job that has not started never starts', async () => {
    const log = logFile();
    const job = await client.submit('test.noted', { log, name: 'x' }, { delay: '700ms' });
    const response = await client.call(`/jobs/${job.id}/cancel`, { method: 'POST' });
    assert.equal(response.status, 202);
    assert.equal(((await response.json()) as Status).state, 'cancelled');
    const later = await client.submit('test.noted', { log, name: 'later' }, { delay: '900ms' });
    await client.ended(later.id);
    assert.deepEqual(
      (await lines(log)).map(({ name }) => name),
      ['later'],
    );
    const again = await client.call(`/jobs/${job.id}/cancel`, { method: 'POST' });
    assert.equal(again.status, 409);
  });

  test('a running job sees its signal and ends as cancelled', async () => {
    const log = logFile();
    const { id } = await client.submit('test.noted', { log, name: 'long', ms: 60_000 });
    await until('the start', async () => (await lines(log)).length === 1);
    await client.call(`/jobs/${id}/cancel`, { method: 'POST' });
    assert.equal((await client.ended(id, 15_000)).state, 'cancelled');
  });
});

test('a job not started by its expiry ends as expired', async () => {
  const { id } = await client.submit(
    'test.echo',
    { value: 1 },
    // Due just after it expires: the runAt of a message is met, the deadline is not.
    { expiresIn: '1ms' },
  );
  assert.equal((await client.ended(id)).state, 'expired');
});

test('recurring jobs run at their times, each time once', async () => {
  const runs = await until(
    'two runs',
    async () => {
      const response = await client.call('/jobs?schedule=every-five-seconds&state=succeeded');
      const { jobs } = (await response.json()) as { jobs: Status[] };
      return jobs.length >= 2 && jobs;
    },
    60_000,
  );
  const times = runs.map(({ scheduledFor }) => String(scheduledFor));
  assert.equal(new Set(times).size, times.length);
  for (const [i, time] of times.entries()) {
    assert.equal(new Date(time).getSeconds() % 5, 0);
    const late = Date.parse(runs[i]?.startedAt ?? '') - Date.parse(time);
    assert.ok(late >= 0, `started ${late} ms early`);
  }
});

test('GET /job-types shows each type with its JSON Schema', async () => {
  const types = (await (await client.call('/job-types')).json()) as {
    type: string;
    input: { type: string; properties: Record<string, unknown> };
  }[];
  const report = types.find(({ type }) => type === 'report');
  assert.ok(report?.input.properties['groupBy']);
});
