/**
 * Requests made from the description of the API, right and nearly right. Whatever is asked: no answer
 * is a 5xx, each is what the description says, and what was refused has changed nothing.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { fc } from '../support/properties.ts';
import { nearly, type Schema, valuesOf } from './from-schema.ts';
import { oddText, toText } from './values.ts';

interface Operation {
  parameters: { name: string; in: 'path' | 'query' | 'header' }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

export interface Api {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

interface Asked {
  method: string;
  template: string;
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

export interface Options {
  url: string;
  seed: number;
  /** For so long. */
  ms: number;
  /** Ids of jobs that are there, so that not all is a 404. */
  ids: readonly string[];
}

/** Answers how many answers of each status there were. @throws with the smallest that broke something */
export async function fuzzApi({ url, seed, ms, ids }: Options): Promise<Record<number, number>> {
  const api = JSON.parse((await ask(url, get('/api/openapi.json'))).body) as Api;
  const check = checkerOf(api);
  let asked = 0;
  const statuses: Record<number, number> = {};
  const property = fc.asyncProperty(requestsOf(api, ids), async (one) => {
    asked++;
    const mark = `fuzz-${asked}-${seed}`;
    const marked = withMark(one, mark);
    const answer = await ask(url, marked);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    check(marked, answer);
    if (answer.status >= 400 && marked !== one) {
      const list = await ask(url, get(`/api/jobs?requestedBy=${mark}`));
      assert.deepEqual(JSON.parse(list.body), { jobs: [] }, 'refused, and a job is there');
    }
    if (one.template === '/api/schedules/{id}' && one.method === 'PUT' && answer.status < 300)
      await ask(url, { ...one, method: 'DELETE', body: undefined });
  });
  await fc.assert(property, {
    ...{ seed, numRuns: 1_000_000, interruptAfterTimeLimit: ms, markInterruptAsFailure: false },
    endOnFailure: ms < 60_000,
  });
  assert.equal((await ask(url, get('/api/health/ready'))).status, 200);
  return statuses;
}

const get = (path: string): Asked => ({
  ...{ method: 'GET', template: path, path, headers: {}, body: undefined },
});

/** A submit that can be found again by who asked. */
function withMark(one: Asked, mark: string): Asked {
  if (one.method !== 'POST' || one.template !== '/api/jobs' || !one.body?.startsWith('{'))
    return one;
  // A second member of the name wins.
  const body = `${one.body.slice(0, -1)}${one.body === '{}' ? '' : ','}"requestedBy":"${mark}"}`;
  return { ...one, body };
}

function requestsOf({ paths, components }: Api, ids: readonly string[]): fc.Arbitrary<Asked> {
  const find = (ref: string) => components.schemas[ref.split('/').at(-1) ?? ''] ?? {};
  const all = Object.entries(paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const { schema } = operation.requestBody?.content['application/json'] ?? {};
      const body = schema && nearly(valuesOf(schema, find)).map(toText);
      const arbitrary = fc.record({
        method: fc.constant(method.toUpperCase()),
        template: fc.constant(template),
        path: pathsOf(template, operation, ids),
        headers: headersOf(operation, schema !== undefined),
        body: body ? fc.oneof({ weight: 9, arbitrary: body }, oddText) : fc.constant(undefined),
      });
      // There is more to say in a body than in an address.
      return { weight: body ? 8 : 1, arbitrary };
    }),
  );
  return fc.oneof(...all);
}

const encoded = (text: string) => encodeURIComponent(Buffer.from(text).toString());

function pathsOf(template: string, { parameters }: Operation, ids: readonly string[]) {
  const segment = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...ids, 'fuzz', 'told', 'named') },
    oddText.map(encoded),
    fc.constantFrom('%ff', '%ED%A0%80', '..%2f..', '%00', 'a%2Fb', '%', '%2', '~', '%2e%2e'),
  );
  const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => name);
  const inQuery = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
  const value = fc.oneof(
    oddText,
    fc.constantFrom('1', '1000', 'queued', 'fuzz.any', 'true', 'eyJhIjoxfQ', ...ids),
  );
  const query = fc.dictionary(fc.constantFrom('code', ...inQuery), value, { maxKeys: 3 });
  return fc.tuple(query, ...inPath.map(() => segment)).map(([asked, ...values]) => {
    const path = inPath.reduce(
      (made, name, at) => made.replace(`{${name}}`, () => String(values[at] || 'x')),
      template,
    );
    const pairs = Object.entries(asked).map(([name, one]) => `${name}=${encoded(one)}`);
    return pairs.length > 0 ? `${path}?${pairs.join('&')}` : path;
  });
}

// What HTTP itself forbids in a header never gets to us.
const headerText = oddText.map((text) => text.replaceAll(/[^\t\x20-\x7e]/g, '').trim());

function headersOf({ parameters }: Operation, hasBody: boolean) {
  const known = parameters.filter((one) => one.in === 'header').map(({ name }) => name);
  const odd = fc.dictionary(fc.constantFrom('x-any', ...known), headerText, { maxKeys: 2 });
  const type = fc.oneof(
    { weight: 12, arbitrary: fc.constant('application/json') },
    fc.constantFrom('application/x-ndjson', 'text/plain', 'application/json; charset=x', '', ';'),
    headerText,
  );
  return fc.tuple(odd, type).map(([headers, contentType]) => {
    // A long wait is right, and tells nothing.
    const { prefer, ...others } = headers as Record<string, string>;
    const short = prefer === undefined || /\d\d|[2-9]/.test(prefer) ? {} : { prefer };
    return { ...others, ...short, ...(hasBody ? { 'content-type': contentType } : {}) };
  });
}

const patienceMs = 20_000;

function ask(url: string, { method, path, headers, body }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const length = bytes ? { 'content-length': String(bytes.length) } : {};
    const to = { method, path, headers: { ...headers, ...length }, timeout: patienceMs };
    const sent = request(url, to, (response) => {
      const chunks: Buffer[] = [];
      const { statusCode: status = 0 } = response;
      const type = (response.headers['content-type'] ?? '').split(';')[0] ?? '';
      const done = () => resolve({ status, type, body: Buffer.concat(chunks).toString() });
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        // A stream has no end.
        if (type !== 'text/event-stream') return;
        done();
        response.destroy();
      });
      response.on('end', done);
      response.on('error', () => undefined);
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer in ${patienceMs} ms`)));
    sent.on('error', reject);
    sent.end(bytes);
  });
}

/** Checks an answer against the description. */
function checkerOf(api: Api): (asked: Asked, answer: Answer) => void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const compiled = new Map<object, ValidateFunction>();
  const validatorOf = (schema: object) => {
    const known = compiled.get(schema);
    const valid = known ?? ajv.compile({ ...schema, components: api.components });
    compiled.set(schema, valid);
    return valid;
  };
  return ({ method, template }, { status, type, body }) => {
    assert.ok(status > 0 && status < 500, `${status} ${body}`);
    // What cannot be an address of this template is another's, or the host's.
    if (status === 404 && type === 'text/plain') return;
    const { responses = {} } = api.paths[template]?.[method.toLowerCase()] ?? {};
    const described = responses[status] ?? (status >= 400 ? responses['default'] : undefined);
    assert.ok(described, `${status} is not described`);
    if (status === 204 || status === 304) return;
    const { schema } = described.content?.[type] ?? {};
    assert.ok(schema, `${status} of type '${type}' is not described`);
    if (!type.endsWith('json')) return;
    const valid = validatorOf(schema);
    assert.ok(valid(JSON.parse(body)), `${JSON.stringify(valid.errors?.slice(0, 3))} ${body}`);
  };
}
