/** `/api/openapi.json` and `/api/asyncapi.json`, made from the routes, the job types and the topology. */
import { z } from 'zod';
import type { Submitting } from '../admit/submit.ts';
import type { KnownType } from '../define/catalogue.ts';
import { eventContentType } from '../model/event.ts';
import { blobContentType } from '../model/message.ts';
import { answers } from './answers.ts';
import { jsonSchema } from './json-schema.ts';
import { json, type Route, type RouteDoc, registered, registerRoute } from './route.ts';

const version = '1';

export function registerDescriptions(app: Submitting): void {
  const describe = (name: string, path: string, summary: string, make: () => object) =>
    registerRoute({
      name,
      method: 'GET',
      path,
      handle: async () => json(200, make()),
      doc: { summary, answers: { 200: 'any' } },
    });
  describe('openapi', 'openapi.json', 'This description', () => toOpenApi(app, registered));
  describe('asyncapi', 'asyncapi.json', 'The description of the messages', () => toAsyncApi(app));
}

const schemaOf = (schema: z.ZodType, io: 'input' | 'output' = 'output') => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};
const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const componentOf = (type: string) => `input.${type.replaceAll(/[^\w.-]/g, '_')}`;

/** What a job type takes; anything where its library cannot say it in JSON Schema. */
function inputOf({ definition }: KnownType): object {
  const { $schema: _, ...rest } = (jsonSchema(definition.input, 'input') ?? {}) as {
    $schema?: string;
  };
  return rest;
}

export function toOpenApi({ types }: Submitting, routes: readonly Route[]): object {
  const inputs = types.open.map((known) => [componentOf(known.definition.type), inputOf(known)]);
  const shapes = Object.entries(answers).map(([name, schema]) => [name, schemaOf(schema)]);
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const of = paths[`/api/${route.path}`] ?? {};
    paths[`/api/${route.path}`] = of;
    of[route.method.toLowerCase()] = toOperation(route, types.open);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Longhaul', version, description: 'Background jobs over HTTP.' },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: Object.fromEntries([...shapes, ...inputs]),
      securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'x-functions-key' } },
    },
    security: [{ key: [] }],
  };
}

const headerDocs = {
  prefer: '`wait=N`: answer when it has ended or changed, after N seconds (60) at most',
  'idempotency-key': 'the same key and body give the same job; another body is refused',
  'if-none-match': 'an ETag: 304 when nothing has changed',
  'last-event-id': 'go on after this event',
} as const;

function toOperation({ name, path, doc }: Route, types: readonly KnownType[]): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter = '']) => ({
    ...{ name: parameter, in: 'path', required: true, schema: { type: 'string' } },
  }));
  const inQuery = Object.entries(doc.query ?? {}).map(([parameter, description]) => ({
    ...{ name: parameter, in: 'query', description, schema: { type: 'string' } },
  }));
  const inHeader = (doc.headers ?? []).map((parameter) => ({
    ...{ name: parameter, in: 'header', description: headerDocs[parameter] },
    schema: { type: 'string' },
  }));
  const responses = Object.entries(doc.answers).map(([status, answer]) => [
    status,
    { ...toResponse(Number(status), answer), ...headersOf(doc, Number(status)) },
  ]);
  return {
    operationId: name,
    summary: doc.summary,
    ...(path.startsWith('health/') ? { security: [] } : {}),
    parameters: [...inPath, ...inQuery, ...inHeader],
    ...(doc.body ? { requestBody: toRequestBody(doc.body, doc.many === true, types) } : {}),
    responses: {
      ...Object.fromEntries(responses),
      default: { ...toResponse(400, 'Problem'), headers: described(['allow']) },
    },
  };
}

const answerHeaders = {
  location: 'where the job or schedule is',
  'retry-after': 'seconds after which there may be news; not once it has ended',
  etag: 'of this state: If-None-Match asks for another',
  'preference-applied': 'the wait that was heeded',
  'idempotency-replayed': '`true` if the job was made by an earlier request with this key',
  allow: 'with 405: what can be asked here',
} as const;

const described = (names: readonly (keyof typeof answerHeaders)[]) =>
  Object.fromEntries(
    names.map((name) => [name, { description: answerHeaders[name], schema: { type: 'string' } }]),
  );

/** The headers that an answer may carry. */
function headersOf({ headers = [], body, many }: RouteDoc, status: number): { headers?: object } {
  const asks = (name: (typeof headers)[number]) => headers.includes(name);
  const names: (keyof typeof answerHeaders)[] = [];
  if (status === 201 || status === 202 || (body && asks('prefer'))) names.push('location');
  if (status === 202 || asks('if-none-match')) names.push('retry-after');
  if (asks('if-none-match')) names.push('etag');
  if (asks('prefer')) names.push('preference-applied');
  if (body && asks('idempotency-key') && !many) names.push('idempotency-replayed');
  return names.length > 0 ? { headers: described(names) } : {};
}

const otherContent = {
  events: { 'text/event-stream': { schema: { type: 'string' } } },
  page: { 'text/html': { schema: { type: 'string' } } },
  file: { 'application/octet-stream': { schema: {} } },
  any: { 'application/json': { schema: {} } },
};

function toResponse(status: number, answer: Route['doc']['answers'][number]): object {
  const description =
    status === 304 ? 'Nothing has changed' : status < 400 ? 'As asked' : 'Refused';
  if (answer === 'none') return { description };
  const other = otherContent[answer as keyof typeof otherContent];
  if (other) return { description, content: other };
  const type = answer === 'Problem' ? 'application/problem+json' : 'application/json';
  return { description, content: { [type]: { schema: refTo(String(answer)) } } };
}

function toRequestBody(
  body: z.ZodType | 'any',
  many: boolean,
  types: readonly KnownType[],
): object {
  const fields = body === 'any' ? {} : schemaOf(body, 'input');
  const names = 'properties' in fields ? Object.keys(fields.properties as object) : [];
  const named = names.includes('type') && names.includes('input');
  // Which input belongs to which type.
  const one = named ? { allOf: [fields, { oneOf: types.map(withInput) }] } : fields;
  const schema = many ? { type: 'array', items: one } : one;
  return {
    required: true,
    content: {
      'application/json': { schema },
      ...(many ? { 'application/x-ndjson': { schema: { type: 'string' } } } : {}),
    },
  };
}

const withInput = ({ definition: { type, formerly = [] } }: KnownType) => ({
  properties: { type: { enum: [type, ...formerly] }, input: refTo(componentOf(type)) },
  required: ['type'],
});

/** AsyncAPI 3: who sends a job to a lane by message, and what comes back. */
export function toAsyncApi({ types, topology }: Submitting): object {
  const text = { type: 'string' };
  const messages = Object.fromEntries(
    types.open.map((known) => [
      componentOf(known.definition.type),
      {
        name: known.definition.type,
        contentType: 'application/json',
        headers: {
          type: 'object',
          required: ['type'],
          properties: {
            type: { const: known.definition.type },
            ...{ requestedBy: text, startBefore: text, traceparent: text },
          },
        },
        payload: inputOf(known),
      },
    ]),
  );
  const laneMessages = Object.fromEntries(
    Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
  );
  const lanes = topology.lanes.flatMap(({ name, plain, keyed }) => [
    [plain, `Lane ${name}: the body is the input, or \`{"blob": name}\` as ${blobContentType}`],
    [keyed, `Lane ${name} for types with a key, which is the SessionId`],
  ]);
  const channel = (address: string, description: string, of: object) => [
    address,
    { address, description, messages: of },
  ];
  const ended = { ended: { $ref: '#/components/messages/ended' } };
  const operation = (action: 'send' | 'receive', address: string) => [
    `${action}-${address}`,
    { action, channel: { $ref: `#/channels/${address}` } },
  ];
  return {
    asyncapi: '3.0.0',
    info: { title: 'Longhaul', version, description: 'Background jobs over Service Bus.' },
    channels: Object.fromEntries([
      ...lanes.map(([address = '', description = '']) =>
        channel(address, description, laneMessages),
      ),
      ...topology.replies.map((address) =>
        channel(address, 'Replies to who named it in ReplyTo', ended),
      ),
    ]),
    // As the app sees it: it receives jobs and sends replies.
    operations: Object.fromEntries([
      ...lanes.map(([address = '']) => operation('receive', address)),
      ...topology.replies.map((address) => operation('send', address)),
    ]),
    components: { messages: { ...messages, ended: endedMessage } },
  };
}

/** A CloudEvents 1.0 event; the reply carries the request's correlation id. */
const endedMessage = {
  name: 'ended',
  title: 'A job has ended',
  contentType: eventContentType,
  correlationId: { location: '$message.header#/correlationId' },
  payload: {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'subject', 'data'],
    properties: {
      specversion: { const: '1.0' },
      id: { type: 'string' },
      source: { type: 'string' },
      type: {
        enum: ['succeeded', 'failed', 'cancelled', 'expired'].map(
          (state) => `longhaul.job.${state}`,
        ),
      },
      subject: { type: 'string', description: "The job's id" },
      time: { type: 'string', format: 'date-time' },
      data: {
        type: 'object',
        required: ['id', 'type', 'state'],
        properties: {
          id: { type: 'string' },
          type: { type: 'string' },
          state: { enum: ['succeeded', 'failed', 'cancelled', 'expired'] },
          result: {},
          resultUrl: { type: 'string', description: 'Instead of a result that is large' },
          error: {
            type: 'object',
            properties: { name: { type: 'string' }, message: { type: 'string' } },
          },
        },
      },
    },
  },
};
