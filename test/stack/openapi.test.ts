/** The descriptions of API and messages: valid by official validators, and true of what is really sent. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import rhea from 'rhea';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';

interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}
interface Operation {
  operationId: string;
  parameters: { name: string; in: string }[];
  requestBody?: Content;
  responses: Record<string, Content>;
}
interface Content {
  content?: Record<string, { schema: object }>;
}

let stack: Awaited<ReturnType<typeof testStack>>;
let client: ReturnType<typeof createClient>;
let api: OpenApi;
before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
  api = (await (await client.call('/openapi.json')).json()) as OpenApi;
});
after(() => stack?.remove());

/** Checks against a part of the document, whose references stay within it. */
function check(schema: object, value: unknown, what: string): void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const valid = ajv.compile({ ...schema, components: api.components });
  assert.ok(valid(value), `${what}: ${JSON.stringify(valid.errors?.slice(0, 3))}`);
}

test('the OpenAPI description is valid, and has every route', async () => {
  const result = await new Validator().validate({ ...structuredClone(api) });
  assert.ok(result.valid, JSON.stringify(result.errors));
  const paths = Object.keys(api.paths);
  for (const path of [
    ...['/api/jobs', '/api/jobs/batch', '/api/jobs/{id}', '/api/jobs/{id}/result'],
    ...['/api/jobs/{id}/events', '/api/jobs/{id}/cancel', '/api/jobs/{id}/retry', '/api/events'],
    ...['/api/schedules', '/api/schedules/{id}', '/api/schedules/{id}/run', '/api/job-types'],
  ])
    assert.ok(paths.includes(path), `${path} is missing`);
  const ids = paths.flatMap((path) =>
    Object.values(api.paths[path] ?? {}).map(({ operationId }) => operationId),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test('what is answered is what the description says, on every route that was called', async () => {
  const called = new Set<string>();
  const call = async (method: string, path: string, body?: unknown, headers: object = {}) => {
    const template = Object.keys(api.paths).find((known) =>
      new RegExp(`^${known.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(`/api${path.split('?')[0]}`),
    );
    const operation = api.paths[template ?? '']?.[method.toLowerCase()];
    assert.ok(operation, `${method} ${path} is not described`);
    const response = await client.call(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { status } = response;
    const described = operation.responses[String(status)] ?? operation.responses['default'];
    assert.ok(status < 400 ? operation.responses[String(status)] : described, `${path} ${status}`);
    const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
    const content = described?.content?.[type];
    if (status !== 204 && status !== 304)
      assert.ok(content, `${method} ${path} answered ${status} with ${type}`);
    const answer: unknown = /json$/.test(type) ? await response.json() : await response.text();
    if (content) check(content.schema, answer, `${method} ${path}`);
    if (body !== undefined && status < 400)
      for (const { schema } of Object.values(operation.requestBody?.content ?? {}).slice(0, 1))
        check(schema, body, `the body of ${method} ${path}`);
    called.add(operation.operationId);
    return answer as { id: string };
  };
  const echo = { type: 'test.echo', input: { value: 1 } };
  const { id } = await call('POST', '/jobs', echo);
  await client.ended(id);
  await call('POST', '/jobs', echo, { prefer: 'wait=20' });
  await call('POST', '/jobs', { type: 'nope' });
  await call('POST', '/jobs/batch', [echo, echo]);
  await call('GET', '/jobs?limit=5');
  await call('GET', `/jobs/${id}`);
  await call('GET', `/jobs/${id}/result`);
  await call('GET', `/jobs/${id}/input`);
  await call('GET', `/jobs/${id}/timeline`);
  await call('GET', `/jobs/${id}/log?limit=10`);
  await call('GET', `/jobs/${id}/files/none`);
  await call('GET', '/jobs/none');
  await call('POST', `/jobs/${id}/cancel`, {});
  await call('POST', `/jobs/${id}/retry`, {});
  const failing = await call('POST', '/jobs', { type: 'test.square', input: { n: -1 } });
  await client.ended(failing.id);
  await call('GET', `/jobs/${failing.id}`);
  await call('POST', `/jobs/${failing.id}/retry`, {});
  const parent = await call('POST', '/jobs', { type: 'test.squares', input: { to: 3 } });
  await client.ended(parent.id);
  await call('GET', `/jobs/${parent.id}`);
  const waiting = await call('POST', '/jobs', { type: 'test.approval', input: { key: 'x' } });
  await call('POST', `/jobs/${waiting.id}/events/paid`, { euros: 1 });
  await call('POST', `/jobs/${waiting.id}/cancel`, {});
  await call('PUT', '/schedules/described', { ...echo, every: '1h' });
  await call('PUT', '/schedules/described', { ...echo, every: '2h' });
  await call('PATCH', '/schedules/described', { enabled: false });
  await call('POST', '/schedules/described/run', {});
  await call('GET', '/schedules/described');
  await call('GET', '/schedules?limit=2');
  await call('POST', '/schedules/batch', [{ id: 'many', ...echo, every: '1h' }]);
  await call('DELETE', '/schedules/many');
  await call('PUT', '/pauses/type/test.noted', { by: 'ada', why: 'to see', until: '1h' });
  await call('GET', '/pauses');
  await call('DELETE', '/pauses/type/test.noted');
  await call('PUT', '/pauses/type/none', {});
  await call('GET', '/queues');
  await call('GET', '/workers');
  await call('GET', '/errors?from=2026-01-01T00:00:00Z');
  await call('GET', '/errors?from=yesterday');
  await call('GET', `/jobs/${id}/why`);
  await call('GET', '/dead-letters');
  await call('GET', '/dead-letters/groups?lane=standard');
  await call('POST', '/dead-letters/redrive', { dryRun: true, type: 'test.square' });
  await call('POST', '/dead-letters/redrive', { type: 'test.square', pace: 10, by: 'ada' });
  await call('POST', '/dead-letters/discard', { type: 'none', why: 'to see' });
  await call('POST', '/actions', { do: 'delete', filter: { state: 'failed' }, dryRun: true });
  await call('POST', '/actions', { do: 'cancel', filter: { type: 'test.none' } });
  await call('DELETE', `/jobs/${id}`);
  await call('GET', '/job-types');
  await call('GET', '/health/live');
  await call('GET', '/health/ready');
  await call('GET', '/examples/report-ready');
  await call('GET', '/openapi.json');
  await call('GET', '/asyncapi.json');
  const all = Object.values(api.paths).flatMap((of) =>
    Object.values(of).map(({ operationId }) => operationId),
  );
  // Streams are held to by the tests of watching.
  const missing = all.filter((name) => !called.has(name) && !name.startsWith('watch-'));
  assert.deepEqual(missing, []);
});

test('an input belongs to its type in the description', () => {
  const body = api.paths['/api/jobs']?.['post']?.requestBody?.content?.['application/json'];
  assert.ok(body);
  check(body.schema, { type: 'test.square', input: { n: 1 } }, 'a right one');
  assert.throws(() =>
    check(body.schema, { type: 'test.square', input: { n: 'x' } }, 'a wrong one'),
  );
});

test('a plain AMQP client submits a job and gets its reply', async () => {
  // rhea knows nothing of Service Bus: as any AMQP 1.0 library of another language.
  const { port, hostname } = new URL(
    stack.serviceBus.replace(/^Endpoint=sb/, 'http').split(';')[0] ?? '',
  );
  const container = rhea.create_container();
  const connection = container.connect({ host: hostname, port: Number(port), reconnect: false });
  try {
    const replied = new Promise<rhea.Message>((resolve) => {
      connection
        .open_receiver('replies')
        .on('message', ({ message }) => resolve(message as rhea.Message));
    });
    const sender = connection.open_sender('standard');
    await new Promise((resolve) => sender.once('sendable', resolve));
    sender.send({
      message_id: 'from-elsewhere-1',
      reply_to: 'replies',
      correlation_id: 'mine',
      application_properties: { type: 'test.square' },
      body: rhea.message.data_section(Buffer.from('{"n":12}')),
    });
    const { correlation_id, body } = await replied;
    assert.equal(correlation_id, 'mine');
    const event = JSON.parse((body as { content: Buffer }).content.toString('utf8'));
    assert.deepEqual(event.data.result, { square: 144 });
    assert.equal((await client.get('from-elsewhere-1')).state, 'succeeded');
  } finally {
    connection.close();
  }
});

test('the AsyncAPI description is valid, and true of a reply', async () => {
  const document = (await (await client.call('/asyncapi.json')).json()) as {
    channels: Record<string, unknown>;
    components: { messages: Record<string, { payload: object }> };
  };
  const schema = createRequire(import.meta.url)(
    '@asyncapi/specs/schemas/3.0.0-without-$id.json',
  ) as object;
  const { Ajv } = await import('ajv');
  const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  assert.ok(valid(document), JSON.stringify(valid.errors?.slice(0, 5)));
  assert.ok('standard' in document.channels && 'replies' in document.channels);

  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    // By the message contract, with nothing but the type and who is to be answered.
    const sender = bus.createSender('standard');
    const wanted = { type: 'test.echo', correlationId: 'c-9' };
    await sender.sendMessages({
      body: { value: 'by message' },
      replyTo: 'replies',
      correlationId: wanted.correlationId,
      applicationProperties: { type: wanted.type },
    });
    const receiver = bus.createReceiver('replies', { receiveMode: 'receiveAndDelete' });
    const [reply] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 });
    assert.equal(reply?.correlationId, 'c-9');
    assert.equal(reply?.contentType, 'application/cloudevents+json');
    const { payload } = document.components.messages['ended'] ?? assert.fail();
    const event = Buffer.isBuffer(reply.body) ? JSON.parse(reply.body.toString()) : reply.body;
    check(payload, event, 'the reply');
  } finally {
    await bus.close();
  }
});
