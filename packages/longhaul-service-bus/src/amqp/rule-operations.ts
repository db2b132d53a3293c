/** Rules of a subscription over its `$management` (SERVICE-BUS.md, 6). */
import rhea from 'rhea';
import { badArgument, ServiceBusFault } from '../entity/errors.ts';
import type { Queue } from '../entity/queue.ts';
import type { Rules } from '../entity/rules.ts';
import type { Rule, RuleDescription } from '../entity/settings.ts';
import type { Value } from '../entity/sql.ts';
import { int, timestamp } from './types.ts';

type Body = Record<string, unknown>;

const { types } = rhea;

// Descriptors of the described lists.
const code = {
  rule: 0x13700000004,
  emptyAction: 0x13700000005,
  sqlAction: 0x13700000006,
  sqlFilter: 0x1370000006,
  correlationFilter: 0x1370000009,
} as const;

interface Asked {
  queue: Queue;
  rulesChanged: () => void;
}

export const ruleOperations: Record<string, (asked: Asked, body: Body) => Body | 'nothing'> = {
  'com.microsoft:add-rule': ({ queue, rulesChanged }, body) => {
    const given = mapOf(body['rule-description']);
    rulesOf(queue).add(toRule(nameOf(body), given));
    rulesChanged();
    return {};
  },
  'com.microsoft:remove-rule': ({ queue, rulesChanged }, body) => {
    rulesOf(queue).remove(nameOf(body));
    rulesChanged();
    return {};
  },
  'com.microsoft:enumerate-rules': ({ queue }, body) => {
    const skip = Number(body['skip'] ?? 0);
    const all = rulesOf(queue).all.slice(skip, skip + Number(body['top'] ?? 100));
    if (all.length === 0) return 'nothing';
    return { rules: all.map((rule) => ({ 'rule-description': describe(rule) })) };
  },
};

const mapOf = (value: unknown): Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : {};

/** @throws ServiceBusFault */
function nameOf(body: Body): string {
  const name = body['rule-name'];
  if (typeof name === 'string' && name !== '') return name;
  throw badArgument('rule-name is missing.');
}

function rulesOf({ rules, settings }: Queue): Rules {
  if (rules) return rules;
  throw new ServiceBusFault('amqp:not-allowed', `${settings.name} is no subscription: no rules.`);
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

function toRule(name: string, given: Body): RuleDescription {
  const [sql, correlation, action] = ['sql-filter', 'correlation-filter', 'sql-rule-action'].map(
    (part) => (given[part] ? mapOf(given[part]) : undefined),
  );
  const expression = text(action?.['expression']);
  return {
    name,
    createdAt: Date.now(),
    ...(correlation
      ? { correlationFilter: toCorrelation(correlation) }
      : { sqlFilter: { sqlExpression: text(sql?.['expression']) ?? otherwise(given) } }),
    ...(expression ? { action: { sqlExpression: expression } } : {}),
  };
}

const otherwise = (given: Body) => ('false-filter' in given ? '1=0' : '1=1');

function toCorrelation(given: Body) {
  const properties = mapOf(given['properties']) as Record<string, Exclude<Value, null>>;
  const fields = {
    correlationId: text(given['correlation-id']),
    messageId: text(given['message-id']),
    to: text(given['to']),
    replyTo: text(given['reply-to']),
    label: text(given['label']),
    sessionId: text(given['session-id']),
    replyToSessionId: text(given['reply-to-session-id']),
    contentType: text(given['content-type']),
  };
  const set = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(set), properties };
}

const list = (descriptor: number, items: unknown[]) =>
  types.wrap_described(types.wrap_list(items), descriptor);

const compatibilityLevel = 20;

function describe({ name, sqlFilter, correlationFilter, action, createdAt }: Rule) {
  const { correlationId, messageId, to, replyTo, label } = correlationFilter ?? {};
  const { sessionId, replyToSessionId, contentType, properties } = correlationFilter ?? {};
  const fields = [correlationId, messageId, to, replyTo, label, sessionId, replyToSessionId];
  const filter = correlationFilter
    ? list(code.correlationFilter, [
        ...[...fields, contentType].map((field) => field ?? null),
        types.wrap_map(properties ?? {}),
      ])
    : list(code.sqlFilter, [sqlFilter?.sqlExpression ?? '1=1', int(compatibilityLevel)]);
  const acts = action
    ? list(code.sqlAction, [action.sqlExpression, int(compatibilityLevel)])
    : list(code.emptyAction, []);
  return list(code.rule, [filter, acts, name, timestamp(createdAt ?? 0)]);
}
