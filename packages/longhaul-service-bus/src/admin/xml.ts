/**
 * Descriptions of entities as the XML of the HTTP administration, both ways (SERVICE-BUS.md, 10;
 * learn.microsoft.com/rest/api/servicebus). The service minds the order of elements, so it is kept.
 */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import { type Kind, toldMessageKilobytes } from '../entity/descriptions.ts';
import { badArgument } from '../entity/errors.ts';
import type { Rule, RuleDescription } from '../entity/settings.ts';
import type { Value } from '../entity/sql.ts';
import { type Entity, usedBytes } from '../namespace.ts';

/** Elements by name; `@name` for attributes, `#text` beside them. */
export type Xml = { [name: string]: Xml | Xml[] | string | number | boolean | undefined };

const namespaces = {
  service: 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect',
  counts: 'http://schemas.microsoft.com/netservices/2011/06/servicebus',
  instance: 'http://www.w3.org/2001/XMLSchema-instance',
  schema: 'http://www.w3.org/2001/XMLSchema',
};

const attributes = { ignoreAttributes: false, attributeNamePrefix: '@' } as const;
const builder = new XMLBuilder({ ...attributes, suppressBooleanAttributes: false });
const parser = new XMLParser({
  ...attributes,
  removeNSPrefix: true,
  // Characters by their numbers too.
  htmlEntities: true,
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === 'KeyValueOfstringanyType',
});

export const toXml = (document: Xml): string => builder.build(document);

/** The content of an Atom entry. @throws ServiceBusFault */
export function contentOf(text: string, element: string): Xml {
  try {
    const { entry } = parser.parse(text) as { entry?: { content?: Xml } };
    const content = entry?.content?.[element];
    if (content === '') return {};
    if (content && typeof content === 'object' && !Array.isArray(content)) return content;
  } catch (cause) {
    throw malformed(`is no XML: ${(cause as Error).message}`);
  }
  throw malformed(`has no entry with a ${element}`);
}

const malformed = (why: string) => badArgument(`The body ${why}.`);

export const elementOf: Record<Kind, string> = {
  queue: 'QueueDescription',
  topic: 'TopicDescription',
  subscription: 'SubscriptionDescription',
};

// Without these a PUT takes them away; what else is missing keeps its default.
const removable = [
  'ForwardTo',
  'ForwardDeadLetteredMessagesTo',
  'UserMetadata',
  'AutoDeleteOnIdle',
];
const known = new Set([
  ...['LockDuration', 'MaxSizeInMegabytes', 'RequiresDuplicateDetection', 'RequiresSession'],
  ...['DefaultMessageTimeToLive', 'DeadLetteringOnMessageExpiration', 'MaxDeliveryCount'],
  ...['DuplicateDetectionHistoryTimeWindow', 'EnableBatchedOperations', 'AuthorizationRules'],
  ...['DeadLetteringOnFilterEvaluationExceptions', 'Status', 'SupportOrdering'],
  ...['EnablePartitioning', 'EnableExpress', 'MaxMessageSizeInKilobytes', ...removable],
]);

const camel = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
const pascal = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

/** What the XML says, in ARM's names. */
export function toDescription(xml: Xml): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const name of removable) described[camel(name)] = undefined;
  for (const [name, value] of Object.entries(xml)) {
    if (!known.has(name) || value === '') continue;
    described[camel(name)] = name === 'AuthorizationRules' ? value : typed(name, value);
  }
  return described;
}

function typed(name: string, value: Xml[string]): unknown {
  const text = typeof value === 'object' ? '' : String(value);
  if (/^(MaxDeliveryCount|MaxSizeInMegabytes|MaxMessageSizeInKilobytes)$/.test(name))
    return Number(text);
  return text === 'true' || text === 'false' ? text === 'true' : text;
}

// In the service's order; what a kind has not is left out.
const order: Record<Kind, string[]> = {
  queue: [
    ...['lockDuration', 'maxSizeInMegabytes', 'requiresDuplicateDetection', 'requiresSession'],
    ...['defaultMessageTimeToLive', 'deadLetteringOnMessageExpiration'],
    ...['duplicateDetectionHistoryTimeWindow', 'maxDeliveryCount', 'enableBatchedOperations'],
    ...['sizeInBytes', 'messageCount', 'isAnonymousAccessible', 'authorizationRules', 'status'],
    ...['forwardTo', 'userMetadata', 'createdAt', 'updatedAt', 'accessedAt', 'supportOrdering'],
    ...['countDetails', 'autoDeleteOnIdle', 'enablePartitioning', 'entityAvailabilityStatus'],
    ...['forwardDeadLetteredMessagesTo', 'enableExpress', 'maxMessageSizeInKilobytes'],
  ],
  topic: [
    ...['defaultMessageTimeToLive', 'maxSizeInMegabytes', 'requiresDuplicateDetection'],
    ...['duplicateDetectionHistoryTimeWindow', 'enableBatchedOperations', 'sizeInBytes'],
    ...['filteringMessagesBeforePublishing', 'isAnonymousAccessible', 'authorizationRules'],
    ...['status', 'userMetadata', 'createdAt', 'updatedAt', 'accessedAt', 'supportOrdering'],
    ...['countDetails', 'subscriptionCount', 'autoDeleteOnIdle', 'enablePartitioning'],
    ...['entityAvailabilityStatus', 'enableExpress', 'maxMessageSizeInKilobytes'],
  ],
  subscription: [
    ...['lockDuration', 'requiresSession', 'defaultMessageTimeToLive'],
    ...['deadLetteringOnMessageExpiration', 'deadLetteringOnFilterEvaluationExceptions'],
    ...['messageCount', 'maxDeliveryCount', 'enableBatchedOperations', 'status', 'forwardTo'],
    ...['createdAt', 'updatedAt', 'accessedAt', 'userMetadata', 'countDetails'],
    ...['autoDeleteOnIdle', 'entityAvailabilityStatus', 'forwardDeadLetteredMessagesTo'],
  ],
};

const forEver = 'P10675199DT2H48M5.4775807S';
const time = (ms: number) => new Date(ms).toISOString();

export function entityXml(entity: Entity): Xml {
  const { kind, description, queue, transfer, subscriptions, createdAt, updatedAt } = entity;
  const { active, deferred, scheduled } = queue.stock.counts;
  const dead = queue.deadLetters?.stock.size ?? 0;
  const said: Record<string, unknown> = {
    defaultMessageTimeToLive: forEver,
    autoDeleteOnIdle: forEver,
    maxMessageSizeInKilobytes: toldMessageKilobytes,
    supportOrdering: true,
    ...description,
    sizeInBytes: usedBytes(entity),
    messageCount: active + deferred + scheduled + dead + transfer.stock.size,
    isAnonymousAccessible: false,
    filteringMessagesBeforePublishing: false,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
    accessedAt: time(queue.accessedAt),
    entityAvailabilityStatus: 'Available',
    subscriptionCount: subscriptions.size,
    countDetails: {
      '@xmlns:d2p1': namespaces.counts,
      'd2p1:ActiveMessageCount': active,
      'd2p1:DeadLetterMessageCount': dead,
      'd2p1:ScheduledMessageCount': scheduled,
      'd2p1:TransferMessageCount': 0,
      'd2p1:TransferDeadLetterMessageCount': transfer.stock.size,
    },
  };
  const elements = order[kind].filter((name) => said[name] !== undefined);
  return {
    '@xmlns': namespaces.service,
    '@xmlns:i': namespaces.instance,
    ...Object.fromEntries(elements.map((name) => [pascal(name), said[name] as Xml])),
  };
}

// --- rules --------------------------------------------------------------------------------------

/** @throws ServiceBusFault */
export function toRule(name: string, xml: Xml): RuleDescription {
  const filter = (xml['Filter'] ?? {}) as Xml;
  const action = (xml['Action'] ?? {}) as Xml;
  const type = String(filter['@type'] ?? '').replace(/^.*:/, '');
  return {
    name,
    ...(type === 'CorrelationFilter'
      ? { correlationFilter: toCorrelation(filter) }
      : { sqlFilter: toSql(filter, type === 'FalseFilter' ? '1=0' : '1=1') }),
    ...(action['SqlExpression'] ? { action: toSql(action, '') } : {}),
  };
}

function toSql(xml: Xml, otherwise: string) {
  const sqlExpression = String(xml['SqlExpression'] ?? otherwise);
  return { sqlExpression, parameters: toValues(xml['Parameters']) };
}

const fields = ['CorrelationId', 'MessageId', 'To', 'ReplyTo', 'Label'].concat([
  ...['SessionId', 'ReplyToSessionId', 'ContentType'],
]);

function toCorrelation(xml: Xml) {
  const given = fields.filter((name) => xml[name] !== undefined);
  return {
    ...Object.fromEntries(given.map((name) => [camel(name), String(xml[name])])),
    properties: toValues(xml['Properties']),
  };
}

function toValues(xml: Xml[string]): Record<string, Exclude<Value, null>> {
  const pairs = (xml as Xml | undefined)?.['KeyValueOfstringanyType'];
  if (!Array.isArray(pairs)) return {};
  return Object.fromEntries(
    pairs.map(({ Key, Value: value }) => [String(Key), toValue(value as Xml | string | undefined)]),
  );
}

function toValue(xml: Xml | string | undefined): Exclude<Value, null> {
  if (typeof xml !== 'object') return xml ?? '';
  const text = String(xml['#text'] ?? '');
  const type = String(xml['@type']).replace(/^.*:/, '');
  if (['int', 'long', 'double', 'short', 'decimal', 'float'].includes(type)) return Number(text);
  if (type === 'boolean') return text === 'true';
  return type === 'dateTime' ? new Date(text) : text;
}

function valuesXml(values: Record<string, Value>): Xml | undefined {
  const pairs = Object.entries(values).map(([key, value]) => ({
    Key: key,
    Value: {
      '@i:type': `d6p1:${xmlType(value)}`,
      '@xmlns:d6p1': namespaces.schema,
      '#text': value instanceof Date ? value.toISOString() : String(value),
    },
  }));
  return pairs.length === 0 ? undefined : { KeyValueOfstringanyType: pairs };
}

function xmlType(value: Value): string {
  if (value instanceof Date) return 'dateTime';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'double';
  return typeof value === 'boolean' ? 'boolean' : 'string';
}

const sqlXml = (type: string, sql: NonNullable<Rule['sqlFilter']>): Xml => ({
  '@i:type': type,
  SqlExpression: sql.sqlExpression,
  CompatibilityLevel: 20,
  ...withValues('Parameters', sql.parameters),
});

function withValues(name: string, values: Record<string, Value>): Xml {
  const xml = valuesXml(values);
  return xml ? { [name]: xml } : {};
}

export function ruleXml({ name, sqlFilter, correlationFilter, action, createdAt }: Rule): Xml {
  const { properties = {}, ...named } = correlationFilter ?? {};
  const filter: Xml = correlationFilter
    ? {
        '@i:type': 'CorrelationFilter',
        ...Object.fromEntries(Object.entries(named).map(([field, text]) => [pascal(field), text])),
        ...withValues('Properties', properties),
      }
    : sqlXml('SqlFilter', sqlFilter ?? { sqlExpression: '1=1', parameters: {} });
  return {
    '@xmlns': namespaces.service,
    '@xmlns:i': namespaces.instance,
    Filter: filter,
    Action: action ? sqlXml('SqlRuleAction', action) : { '@i:type': 'EmptyRuleAction' },
    CreatedAt: time(createdAt ?? 0),
    Name: name,
  };
}
