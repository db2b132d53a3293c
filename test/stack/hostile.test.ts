/** Requests and messages that nobody sends by accident: refused, and nothing is changed or held up. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { idOfOccurrence } from '#longhaul/model/id.js';
import { createClient, type Problem } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
});
after(() => stack?.remove());

async function refused(body: object, status: number): Promise<Problem> {
  const response = await client.post({ type: 'test.echo', input: { value: 1 }, ...body });
  assert.equal(response.status, status, await response.clone().text());
  return (await response.json()) as Problem;
}

test('an address that cannot be decoded is a 404, and the stack goes on', async () => {
  assert.equal((await client.call('/jobs/%ff')).status, 404);
  assert.equal((await client.call('/job-types')).status, 200);
});

test('a cursor that no page gave is a 400', async () => {
  for (const cursor of ['x', 'eyJ9', '%00', 'bnVsbA=='])
    assert.equal((await client.call(`/jobs?cursor=${cursor}`)).status, 400, cursor);
});

test('half a character in a name is refused', async () => {
  const { errors } = await refused({ requestedBy: '\ud800' }, 400);
  assert.equal(errors?.[0]?.pointer, '/requestedBy');
});

test('a name of 256 characters of three bytes is taken, and its job ends', async () => {
  const { id } = await client.submit('test.echo', { value: 1 }, { requestedBy: '語'.repeat(256) });
  assert.equal((await client.ended(id)).state, 'succeeded');
});

test('a message with an id as long as can be, of characters of four bytes, is told of to who asked', async () => {
  const bus = new ServiceBusClient(stack.serviceBus);
  const messageId = '😀'.repeat(64);
  try {
    await bus.createSender('standard').sendMessages({
      ...{ messageId, body: { value: 1 }, contentType: 'application/json' },
      applicationProperties: { type: 'test.echo', requestedBy: 'ada' },
    });
    const { state } = await until('its end', () => client.ended(messageId).catch(() => undefined));
    assert.equal(state, 'succeeded');
    const lane = bus.createReceiver('standard');
    const left = async () => (await lane.peekMessages(50)).map((one) => one.messageId);
    await until('that it is answered', async () => !(await left()).includes(messageId));
  } finally {
    await bus.close();
  }
});

test('a reply queue by session without a session is refused', async () => {
  const { errors } = await refused({ replyTo: 'replies-keyed' }, 400);
  assert.equal(errors?.[0]?.pointer, '/replyToSessionId');
});

test('nobody submits a callback', async () => {
  const body = {
    type: 'longhaul.callback',
    input: { url: 'https://example.com', id: 'x', event: {} },
  };
  assert.equal((await refused(body, 422)).code, 'unknown_job_type');
});

test('no blob outside the inbox is read, whatever it is called', async () => {
  for (const blob of [
    '../longhaul/jobs/x/input.json',
    'a/../../longhaul/x',
    '..',
    'a//b',
    '..\\x',
    '%2e%2e/x',
  ]) {
    const { id } = await client.submit('report', { blob, groupBy: ['city'] });
    const { state, error } = await client.ended(id);
    assert.deepEqual([state, error?.code], ['failed', 'bad_blob_name'], blob);
  }
});

test('a message whose reply can go nowhere, or of any type, or that names another’s blob, holds up none', async () => {
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const sender = bus.createSender('standard');
    const sent = (messageId: string, type: string, more: object = {}) =>
      sender.sendMessages({
        ...{ messageId, body: { value: 1 }, contentType: 'application/json' },
        ...{ applicationProperties: { type }, ...more },
      });
    await sent('no-session', 'test.echo', { replyTo: 'replies-keyed' });
    await sent('proto', '__proto__');
    await sent('claim', 'test.echo', {
      contentType: 'application/vnd.longhaul.blob+json',
      body: { blob: 'jobs/another/input.json' },
    });
    const ended = (id: string) =>
      until(`the end of ${id}`, async () => {
        const status = await client.get(id).catch(() => undefined);
        return status && ['succeeded', 'failed'].includes(status.state) && status;
      });
    assert.equal((await ended('no-session')).state, 'succeeded');
    assert.equal((await ended('proto')).state, 'failed');
    assert.match((await ended('claim')).error?.message ?? '', /not one of this job/);
    assert.equal((await client.call('/job-types')).status, 200);
  } finally {
    await bus.close();
  }
});

test('a sender on the bus touches no job of others, and has nothing signed, whatever properties he copies', async () => {
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const sender = bus.createSender('standard');
    const { id } = await client.submit('test.approval', { key: 'victim' });
    await until('that it waits', async () => (await client.get(id)).state === 'waiting');
    const message = (messageId: string, applicationProperties: object, body: unknown) => ({
      ...{ messageId, body, contentType: 'application/json' },
      applicationProperties: { longhaul: 1, ...applicationProperties },
    });
    await sender.sendMessages([
      message(id, { type: 'test.echo' }, { value: 'in its place' }),
      message(`${id}:9`, { type: 'test.approval', job: id, turn: 9 }, { key: 'victim' }),
      message('forged-child', { type: 'test.echo', parent: id, place: '0:x' }, { value: 1 }),
      message(
        'forged-callback',
        { type: 'longhaul.callback' },
        { url: 'https://x.example', id: 'x', event: {} },
      ),
    ] as never);
    const child = await until('the forged child', () =>
      client.ended('forged-child').catch(() => undefined),
    );
    assert.equal(child['parent'], undefined);
    const callback = await until('the forged callback', () =>
      client.ended('forged-callback').catch(() => undefined),
    );
    assert.deepEqual([callback.state, callback.error?.code], ['failed', 'unknown_job_type']);
    const letters = bus.createReceiver('standard', { subQueueType: 'deadLetter' });
    const refused = await until('the refusal', async () =>
      (await letters.peekMessages(50)).find(({ messageId }) => messageId === id),
    );
    assert.equal(refused.deadLetterReason, 'invalid_input');
    const { state, type } = await client.get(id);
    assert.deepEqual([state, type], ['waiting', 'test.approval']);
  } finally {
    await bus.close();
  }
});

test('a sender who sends first what the app would send of a job, or of a due time, holds neither up', async () => {
  const bus = new ServiceBusClient(stack.serviceBus);
  const lanes = ['standard', 'standard-keyed'];
  const sendFirst = async (...ids: string[]) => {
    for (const queue of lanes) {
      const first = ids.map((messageId) => ({
        ...{ messageId, body: { value: 'first' }, contentType: 'application/json' },
        ...{ sessionId: 'guessed', applicationProperties: { type: 'test.echo' } },
      }));
      await bus.createSender(queue).sendMessages(first);
    }
  };
  try {
    const { id } = await client.submit('test.approval', { key: 'guessed' });
    await until('that it waits', async () => (await client.get(id)).state === 'waiting');
    await sendFirst(...[2, 3, 4, 'keyed'].map((what) => `${id}:${what}`));
    for (const [name, value] of Object.entries({ approved: { by: 'a' }, paid: { euros: 1 } }))
      await client.call(`/jobs/${id}/events/${name}`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
        body: JSON.stringify(value),
      });
    assert.deepEqual((await client.ended(id)).result, { by: 'a', euros: 1 });

    const at = new Date(Date.now() + 4_000).toISOString();
    await sendFirst(idOfOccurrence('guessed', new Date(at)));
    const put = await client.call('/schedules/guessed', {
      ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ type: 'test.echo', input: { value: 'its own' }, at }),
    });
    assert.equal(put.status, 201);
    const run = await until('its run', async () => {
      const { jobs } = (await (await client.call('/jobs?schedule=guessed')).json()) as {
        jobs: { id: string }[];
      };
      return jobs[0] && client.ended(jobs[0].id);
    });
    assert.deepEqual(run.result, { value: 'its own' });
  } finally {
    await bus.close();
  }
});
