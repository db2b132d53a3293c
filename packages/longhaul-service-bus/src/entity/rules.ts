/** The rules of one subscription: which messages it takes, and what they become on the way. */
import type { Content } from '../amqp/message.ts';
import { type MessageView, viewOf, withChanges } from '../amqp/message-view.ts';
import { entityExists, ServiceBusFault } from './errors.ts';
import { type Rule, type RuleDescription, ruleDescription } from './settings.ts';
import { type Change, compileAction, compileFilter, type Look, type Value } from './sql.ts';

interface Compiled {
  rule: Rule;
  takes(view: MessageView): boolean;
  change: ((look: Look) => Change[]) | undefined;
}

export const defaultRule: RuleDescription = {
  name: '$Default',
  sqlFilter: { sqlExpression: '1=1' },
};

export class Rules {
  readonly #rules = new Map<string, Compiled>();

  constructor(rules: readonly RuleDescription[]) {
    for (const rule of rules) this.add(rule);
  }

  /** By name, as the service lists them. */
  get all(): Rule[] {
    const all = [...this.#rules.values()].map(({ rule }) => rule);
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws ServiceBusFault when there is one of that name, or it cannot be understood */
  add(description: RuleDescription): Rule {
    const rule = ruleDescription.parse(description);
    if (this.#rules.has(rule.name.toLowerCase())) throw entityExists(rule.name);
    this.#rules.set(rule.name.toLowerCase(), compile(rule));
    return rule;
  }

  /** Takes the place of the one of that name. */
  replace(description: RuleDescription): Rule {
    const rule = ruleDescription.parse(description);
    const compiled = compile(rule);
    this.get(rule.name);
    this.#rules.set(rule.name.toLowerCase(), compiled);
    return rule;
  }

  /** @throws ServiceBusFault when there is none */
  get(name: string): Rule {
    const found = this.#rules.get(name.toLowerCase());
    if (!found)
      throw new ServiceBusFault(
        'amqp:not-found',
        `The messaging entity '${name}' could not be found: the subscription has no such rule.`,
      );
    return found.rule;
  }

  remove(name: string): void {
    this.get(name);
    this.#rules.delete(name.toLowerCase());
  }

  /** What becomes of a message: one for all rules without an action, one for each with. */
  copies(content: Content): Content[] {
    const view = viewOf(content);
    const taken = [...this.#rules.values()].filter(({ takes }) => takes(view));
    const changed = taken.flatMap(({ change }) =>
      change ? [withChanges(content, change(view.look))] : [],
    );
    return taken.some(({ change }) => !change) ? [content, ...changed] : changed;
  }
}

function compile(rule: Rule): Compiled {
  const { sqlFilter, correlationFilter, action } = rule;
  const filter = sqlFilter && compileFilter(sqlFilter.sqlExpression, sqlFilter.parameters);
  return {
    rule,
    takes: ({ look }) =>
      filter ? filter(look) : correlationFilter ? correlates(correlationFilter, look) : true,
    change: action?.sqlExpression
      ? compileAction(action.sqlExpression, action.parameters)
      : undefined,
  };
}

function correlates(
  { properties, ...fields }: NonNullable<Rule['correlationFilter']>,
  look: Look,
): boolean {
  const same = (wanted: Value, found: Value) =>
    wanted instanceof Date && found instanceof Date
      ? wanted.getTime() === found.getTime()
      : wanted === found;
  return (
    Object.entries(fields).every(
      ([name, wanted]) => wanted === undefined || same(wanted, look('sys', name)),
    ) && Object.entries(properties).every(([name, wanted]) => same(wanted, look('user', name)))
  );
}
