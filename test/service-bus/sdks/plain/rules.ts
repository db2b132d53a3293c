/** Rules of a subscription over `$management`. */
import type { Requests } from '../../../support/requests.ts';
import type { Rule } from '../steps.ts';
import { asked, int } from './client.ts';

export async function addRule(requests: Requests, rule: Rule): Promise<void> {
  const { name, sql, correlation, action } = rule;
  await asked(requests, 'add-rule', {
    'rule-name': name,
    'rule-description': {
      ...(sql ? { 'sql-filter': { expression: sql } } : {}),
      ...(correlation
        ? {
            'correlation-filter': {
              ...(correlation.subject ? { label: correlation.subject } : {}),
              ...(correlation.correlationId ? { 'correlation-id': correlation.correlationId } : {}),
              properties: correlation.properties ?? {},
            },
          }
        : {}),
      ...(action ? { 'sql-rule-action': { expression: action } } : {}),
    },
  });
}

export async function ruleNames(requests: Requests): Promise<string[]> {
  const body = await asked(requests, 'enumerate-rules', { skip: int(0), top: int(100) });
  const rules = (body?.rules ?? []) as { 'rule-description': { value: unknown[] } }[];
  // A described list: filter, action, name.
  return rules.map((rule) => String(rule['rule-description'].value[2]));
}
