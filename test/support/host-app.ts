/** An app without Longhaul's pipeline: what the Functions documentation shows, for the host's own tests. */
import { appendFile } from 'node:fs/promises';
import { ReadableStream } from 'node:stream/web';
import { setTimeout as pause } from 'node:timers/promises';
import { app, type InvocationContext, type Timer } from '@azure/functions';
import { ServiceBusClient } from '@azure/service-bus';
import { type SdkBinding, toDelivery } from '#longhaul/azure/delivery.js';

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
          await pause(100);
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

// Sessions, one by one and in batches; `ms` lasts so long, `settles` tries what needs its session.
app.serviceBusQueue('session-batch', {
  connection: 'ServiceBus',
  queueName: 'bulk-keyed',
  isSessionsEnabled: true,
  cardinality: 'many',
  handler: async (bodies: unknown) => {
    note('batch begins', { count: (bodies as unknown[]).length });
    await pause(300);
    note('batch ends');
  },
});
for (const queueName of ['urgent-keyed', 'heavy-keyed'])
  app.serviceBusQueue(`bound-${queueName}`, {
    connection: 'ServiceBus',
    queueName,
    isSessionsEnabled: true,
    sdkBinding: true,
    autoCompleteMessages: false,
    handler: async (binding, context: InvocationContext) => {
      const { deliveryCount } = context.triggerMetadata ?? {};
      const delivery = toDelivery(queueName, binding as SdkBinding, deliveryCount);
      const { fail, ms = 0 } = JSON.parse(delivery.message.body.toString('utf8'));
      note('bound', { queueName, deliveryCount, ms });
      if (fail && delivery.message.deliveries === 1) throw new Error('as asked');
      await pause(ms);
      const state = await delivery.session?.set(Buffer.from(queueName)).then(
        () => delivery.session?.get(),
        (error: Error) => error,
      );
      note('state', { queueName, ms, state: Buffer.isBuffer(state) ? state.toString() : 'lost' });
      await delivery.complete();
    },
  });

app.http('pid', { methods: ['GET'], handler: async () => ({ jsonBody: process.pid }) });
app.http('sleep', {
  methods: ['GET'],
  route: 'sleep/{ms}',
  handler: async ({ params }) => {
    await pause(Number(params['ms']));
    return { jsonBody: process.pid };
  },
});
app.http('exit', { methods: ['POST'], handler: () => process.exit(1) });
app.http('circles', {
  methods: ['GET'],
  handler: () => {
    for (;;);
  },
});
app.http('endless', {
  methods: ['GET'],
  handler: async () => ({
    body: new ReadableStream({
      async pull(controller) {
        await pause(50);
        note('pulled');
        controller.enqueue(new TextEncoder().encode('.'));
      },
      cancel: () => note('cancelled'),
    }),
  }),
});
const { TERMINATED: terminated, TERMINATE_MS: terminateMs } = process.env;
if (terminated)
  app.hook.appTerminate(async () => {
    await appendFile(terminated, 'begins ');
    await pause(Number(terminateMs));
    await appendFile(terminated, 'ends');
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
