/**
 * The HTTP administration that `ServiceBusAdministrationClient` uses: queues, topics, subscriptions and
 * rules made, read, changed, listed and removed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ZodError } from 'zod';
import { splitUrl } from '../address.ts';
import { wrongIn } from '../amqp/faults.ts';
import type { Tokens } from '../amqp/tokens.ts';
import type { Kind } from '../entity/descriptions.ts';
import { badArgument, type Condition, ServiceBusFault } from '../entity/errors.ts';
import type { RuleDescription } from '../entity/settings.ts';
import type { Entity, Namespace } from '../namespace.ts';
import { type Described, entryDocument, feedDocument } from './atom.ts';
import {
  contentOf,
  elementOf,
  entityXml,
  ruleXml,
  toDescription,
  toRule,
  toXml,
  type Xml,
} from './xml.ts';

const mostBytes = 256 * 1024;
const defaultTop = 100;

interface Request {
  method: string;
  path: string;
  query: URLSearchParams;
  /** What ids and links begin with. */
  base: string;
  isUpdate: boolean;
  body: string;
}

interface Answer {
  status: number;
  body?: string;
}

export function administration(namespace: Namespace, tokens: Tokens) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, body = '' } = await answer(namespace, tokens, request).catch(refusal);
    response.writeHead(status, {
      'content-type': 'application/atom+xml;type=entry;charset=utf-8',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  };
}

async function answer(
  namespace: Namespace,
  tokens: Tokens,
  incoming: IncomingMessage,
): Promise<Answer> {
  const { path: encoded, query } = splitUrl(incoming.url);
  const path = encoded
    .replace(/^\/|\/$/g, '')
    .split('/')
    .map(decodeURIComponent)
    .join('/');
  tokens.check(incoming.headers.authorization ?? '', path);
  const request: Request = {
    method: incoming.method ?? 'GET',
    path,
    query,
    base: `https://${incoming.headers.host ?? 'localhost'}`,
    isUpdate: incoming.headers['if-match'] !== undefined,
    body: await readBody(incoming),
  };
  if (path.toLowerCase() === '$namespaceinfo') return namespaceInfo(namespace, request);
  const resources = /^\$resources\/(queues|topics)$/i.exec(path)?.[1]?.toLowerCase();
  if (resources) return list(request, namespace.list(resources === 'queues' ? 'queue' : 'topic'));
  const [, subscription, rule] =
    /^(.+\/subscriptions\/[^/]+)\/rules(?:\/([^/]+))?$/i.exec(path) ?? [];
  if (subscription) return rules(namespace, request, subscription, rule);
  const [, topic] = /^(.+)\/subscriptions$/i.exec(path) ?? [];
  if (topic) return list(request, [...namespace.get(topic).subscriptions]);
  return entity(namespace, request);
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > mostBytes) throw badArgument('Too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// --- entities -----------------------------------------------------------------------------------

const describedEntity = (found: Entity): Described => ({
  path: found.path,
  element: elementOf[found.kind],
  content: entityXml(found),
});

async function entity(namespace: Namespace, request: Request): Promise<Answer> {
  const { method, path, base, isUpdate } = request;
  if (method === 'GET') {
    const found = namespace.find(path);
    // As the service does: the SDKs take an empty feed for "there is none".
    if (!found) return { status: 200, body: feedDocument(base, path, []) };
    return { status: 200, body: entryDocument(base, describedEntity(found)) };
  }
  if (method === 'DELETE') {
    await namespace.remove(path);
    return { status: 200 };
  }
  if (method !== 'PUT') return { status: 405 };
  const made = isUpdate ? await update(namespace, request) : await create(namespace, request);
  return { status: isUpdate ? 200 : 201, body: entryDocument(base, describedEntity(made)) };
}

async function create(namespace: Namespace, { path, body }: Request): Promise<Entity> {
  const kind = kindOf(path, body);
  const xml = contentOf(body, elementOf[kind]);
  const name = kind === 'subscription' ? (path.split('/').at(-1) ?? '') : path;
  const given = xml['DefaultRuleDescription'] as Xml | undefined;
  const rule = given && {
    ...toRule(String(given['Name'] ?? '$Default'), given),
    createdAt: Date.now(),
  };
  const description = { ...toDescription(xml), name };
  return namespace.create(kind, canonical(path), description, rule && [rule]);
}

async function update(namespace: Namespace, { path, body }: Request): Promise<Entity> {
  const { kind } = namespace.get(path);
  return namespace.update(path, toDescription(contentOf(body, elementOf[kind])));
}

function kindOf(path: string, body: string): Kind {
  if (/\/subscriptions\/[^/]+$/i.test(path)) return 'subscription';
  return body.includes('<TopicDescription') ? 'topic' : 'queue';
}

/** The SDKs look for the word as the service writes it. */
const canonical = (path: string) => path.replace(/\/subscriptions\/(?=[^/]+$)/i, '/Subscriptions/');

function list(request: Request, all: readonly Entity[]): Answer {
  return page(request, all.map(describedEntity));
}

function page({ query, base, path }: Request, all: readonly Described[]): Answer {
  const number = (name: string, otherwise: number) => {
    const value = Number(query.get(name) ?? otherwise);
    if (!(value >= 0)) throw badArgument(`${name} is no number.`);
    return value;
  };
  const [skip, top] = [number('$skip', 0), number('$top', defaultTop)];
  const end = skip + top;
  const next =
    end < all.length ? `${base}/${path}?api-version=2021-05&$skip=${end}&$top=${top}` : undefined;
  return { status: 200, body: feedDocument(base, path, all.slice(skip, end), next) };
}

// --- rules --------------------------------------------------------------------------------------

async function rules(
  namespace: Namespace,
  request: Request,
  path: string,
  name: string | undefined,
): Promise<Answer> {
  const subscription = namespace.get(path);
  const { rules: found } = subscription;
  if (!found) return { status: 404 };
  const described = (rule: Parameters<typeof ruleXml>[0]): Described => ({
    path: `${subscription.path}/Rules/${rule.name}`,
    element: 'RuleDescription',
    content: ruleXml(rule),
  });
  const { method, base, isUpdate, body } = request;
  if (name === undefined) return page(request, found.all.map(described));
  if (method === 'GET') {
    const rule = found.all.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (!rule) return { status: 200, body: feedDocument(base, name, []) };
    return { status: 200, body: entryDocument(base, described(rule)) };
  }
  if (method === 'DELETE') found.remove(name);
  else if (method !== 'PUT') return { status: 405 };
  const given: RuleDescription | undefined =
    method === 'PUT' ? toRule(name, contentOf(body, 'RuleDescription')) : undefined;
  const rule =
    given && (isUpdate ? found.replace(given) : found.add({ ...given, createdAt: Date.now() }));
  namespace.keep(subscription);
  await namespace.kept();
  if (!rule) return { status: 200 };
  return { status: isUpdate ? 200 : 201, body: entryDocument(base, described(rule)) };
}

// --- the rest -----------------------------------------------------------------------------------

function namespaceInfo({ createdAt }: Namespace, { base }: Request): Answer {
  const made = new Date(createdAt).toISOString();
  const content = {
    '@xmlns': 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect',
    CreatedTime: made,
    MessagingSKU: 'Standard',
    ModifiedTime: made,
    Name: base.replace(/^https:\/\//, '').split(/[.:/]/)[0] ?? '',
    NamespaceType: 'Messaging',
  };
  const described = { path: '$namespaceinfo', element: 'NamespaceInfo', content };
  return { status: 200, body: entryDocument(base, described) };
}

const statusOf: Partial<Record<Condition, number>> = {
  'amqp:not-found': 404,
  'amqp:unauthorized-access': 401,
  'com.microsoft:entity-already-exists': 409,
  'com.microsoft:argument-error': 400,
  'com.microsoft:server-busy': 503,
};

function refusal(error: unknown): Answer {
  if (error instanceof ServiceBusFault)
    return refused(statusOf[error.condition] ?? 400, error.message);
  if (error instanceof ZodError) {
    return refused(400, `SubCode=40000. ${wrongIn(error)}`);
  }
  return refused(error instanceof URIError ? 400 : 500, (error as Error).message);
}

const refused = (status: number, detail: string): Answer => ({
  status,
  body: toXml({ Error: { Code: status, Detail: detail } }),
});
