/** An app without Longhaul: what the Functions documentation shows, for the host's own tests. */
import { ReadableStream } from 'node:stream/web';
import { app, type InvocationContext, type Timer } from '@azure/functions';
import { ServiceBusClient } from '@azure/service-bus';

const notes: Record<string, unknown>[] = [];
const note = (what: string, more: object = {}) => void notes.push({ what, ...more });

app.setup({ enableHttpStream: true });
app.hook.preInvocation((context) => {
  context.hookData['seen'] = true;
});

app.http('hello', {
  methods: ['GET', 'POST'],
  route: 'hello/{name}',
  handler: async (request) => ({
    jsonBody: {
      name: request.params['name'],
      query: request.query.get('q'),
      header: request.headers.get('x-test'),
      body: request.method === 'POST' ? await request.text() : null,
    },
    headers: { 'x-answer': 'yes' },
  }),
});
app.http('notes', { methods: ['GET'], handler: async () => ({ jsonBody: notes }) });
app.http('stream', {
  methods: ['GET'],
  handler: async () => ({
    body: ReadableStream.from(
      (async function* () {
        for (const part of ['one ', 'two ', 'three']) {
          yield new TextEncoder().encode(part);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      })(),
    ),
  }),
});
app.http('throws', {
  methods: ['GET'],
  handler: async () => {
    throw new Error('as asked');
  },
});
app.http('disabled', { methods: ['GET'], handler: async () => ({ body: 'never' }) });

app.serviceBusQueue('plain', {
  connection: 'ServiceBus',
  queueName: '%PLAIN_QUEUE%',
  handler: (body: unknown, context: InvocationContext) => {
    const { messageId, deliveryCount } = context.triggerMetadata ?? {};
    note('plain', { body, messageId, deliveryCount });
    if ((body as { fail?: boolean }).fail) throw new Error('as asked');
  },
});
app.serviceBusQueue('many', {
  connection: 'ServiceBus',
  queueName: 'bulk',
  cardinality: 'many',
  handler: (bodies: unknown) => note('many', { count: (bodies as unknown[]).length }),
});
app.serviceBusQueue('session', {
  connection: 'ServiceBus',
  queueName: 'standard-keyed',
  isSessionsEnabled: true,
  handler: (body: unknown, context: InvocationContext) =>
    note('session', { body, session: context.triggerMetadata?.['sessionId'] }),
});
app.timer('tick', {
  schedule: '%TICK%',
  handler: (timer: Timer) => note('tick', { isPastDue: timer.isPastDue }),
});
app.storageBlob('blob', {
  connection: 'AzureWebJobsStorage',
  path: 'incoming/{name}.txt',
  handler: (content: unknown, context: InvocationContext) => {
    note('blob', { text: String(content), name: context.triggerMetadata?.['name'] });
  },
});

// Used by the test to send without a client of its own.
app.http('send', {
  methods: ['POST'],
  route: 'send/{queue}',
  handler: async (request) => {
    const client = new ServiceBusClient(process.env['ServiceBus'] ?? '');
    await client
      .createSender(request.params['queue'] ?? '')
      .sendMessages((await request.json()) as { body: unknown }[]);
    await client.close();
    return { status: 204 };
  },
});
