/**
 * The SQL of rules: filters with three-valued logic, actions that set and remove properties
 * (SERVICE-BUS.md, 7; learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter).
 */
import { randomUUID } from 'node:crypto';
import { likeMatcher } from './like.ts';
import { badSql, type Token, tokenize } from './sql-tokens.ts';

export type Value = string | number | boolean | Date | null;
export type Scope = 'sys' | 'user';
/** A message as rules see it; null for a property that it has not. */
export type Look = (scope: Scope, name: string) => Value;
export type Parameters = Readonly<Record<string, Value>>;
/** A property to be set, or with null removed. */
export interface Change {
  scope: Scope;
  name: string;
  value: Value;
}

type Expression = (look: Look) => Value;

/** True when the message is taken; what is unknown is not. @throws ServiceBusFault */
export function compileFilter(text: string, parameters: Parameters = {}): (look: Look) => boolean {
  const parser = new Parser(text, parameters);
  const expression = parser.or();
  parser.end();
  return (look) => expression(look) === true;
}

/** @throws ServiceBusFault */
export function compileAction(text: string, parameters: Parameters = {}): (look: Look) => Change[] {
  const parser = new Parser(text, parameters);
  const statements = parser.statements();
  parser.end();
  return (look) => statements.map((statement) => statement(look));
}

const isNumber = (...values: Value[]) => values.every((value) => typeof value === 'number');

const comparisons: Record<string, (order: number) => boolean> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '>': (order) => order > 0,
  '<=': (order) => order <= 0,
  '>=': (order) => order >= 0,
};

/** Undefined for values that cannot be compared. */
function orderOf(left: Value, right: Value): number | undefined {
  if (left === null || right === null) return undefined;
  const [a, b] = [left, right].map((value) => (value instanceof Date ? value.getTime() : value));
  if (typeof left !== typeof right || a === undefined || b === undefined) return undefined;
  return a < b ? -1 : a > b ? 1 : 0;
}

const arithmetic: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
};

function calculate(sign: string, left: Value, right: Value): Value {
  if (sign === '+' && typeof left === 'string' && typeof right === 'string') return left + right;
  return isNumber(left, right)
    ? (arithmetic[sign]?.(left as number, right as number) ?? null)
    : null;
}

const not = (value: Value): Value => (typeof value === 'boolean' ? !value : null);

// Deeper than anybody writes, shallower than the stack.
const deepest = 100;

class Parser {
  readonly #tokens: Token[];
  readonly #text: string;
  readonly #parameters: Parameters;
  #at = 0;
  #depth = 0;

  constructor(text: string, parameters: Parameters) {
    this.#text = text;
    this.#parameters = parameters;
    this.#tokens = tokenize(text);
  }

  end(): void {
    if (this.#peek.kind !== 'end') throw this.#bad(`'${this.#peek.value}' is one too many`);
  }

  // --- expressions, from the weakest binding to the strongest ---

  or(): Expression {
    if (++this.#depth > deepest) throw this.#bad('it is nested too deeply');
    const expression = this.#joined('OR', true, () => this.#and());
    this.#depth--;
    return expression;
  }

  #and(): Expression {
    return this.#joined('AND', false, () => this.#not());
  }

  /** One side that `decides` is enough; without one the other answer takes both sides. */
  #joined(keyword: 'AND' | 'OR', decides: boolean, operand: () => Expression): Expression {
    let left = operand();
    while (this.#take(keyword)) {
      const [a, b] = [left, operand()];
      left = (look) => {
        const [x, y] = [a(look), b(look)];
        if (x === decides || y === decides) return decides;
        return x === !decides && y === !decides ? !decides : null;
      };
    }
    return left;
  }

  #not(): Expression {
    let negations = 0;
    while (this.#take('NOT')) negations++;
    const inner = this.#predicate();
    return negations % 2 ? (look) => not(inner(look)) : inner;
  }

  #predicate(): Expression {
    const left = this.#sum();
    const sign = this.#peek;
    if (sign.kind === 'sign' && sign.value in comparisons) {
      this.#at++;
      const [compare, right] = [comparisons[sign.value], this.#sum()];
      return (look) => {
        const order = orderOf(left(look), right(look));
        return order === undefined ? null : (compare?.(order) ?? null);
      };
    }
    if (this.#take('IS')) {
      const isNot = this.#take('NOT');
      this.#need('NULL');
      return (look) => (left(look) === null) !== isNot;
    }
    const isNot = this.#take('NOT');
    const test = this.#take('LIKE')
      ? this.#like(left)
      : this.#take('IN')
        ? this.#in(left)
        : undefined;
    if (test) return isNot ? (look) => not(test(look)) : test;
    if (isNot) throw this.#bad('NOT is followed by neither LIKE nor IN');
    return left;
  }

  #like(left: Expression): Expression {
    const constant = this.#peek.kind === 'string' ? this.#peek.value : undefined;
    const pattern = this.#sum();
    const escapeWith = this.#take('ESCAPE') ? this.#string() : undefined;
    const compiled = constant === undefined ? undefined : likeMatcher(constant, escapeWith);
    return (look) => {
      const [value, of] = [left(look), pattern(look)];
      if (typeof value !== 'string' || typeof of !== 'string') return null;
      return of === constant && compiled ? compiled(value) : likeMatcher(of, escapeWith)(value);
    };
  }

  #in(left: Expression): Expression {
    this.#need('(');
    const options = [this.#sum()];
    while (this.#take(',')) options.push(this.#sum());
    this.#need(')');
    return (look) => {
      const value = left(look);
      if (value === null) return null;
      const orders = options.map((option) => orderOf(value, option(look)));
      return orders.includes(0) ? true : orders.includes(undefined) ? null : false;
    };
  }

  #sum(): Expression {
    return this.#chain(['+', '-'], () => this.#product());
  }

  #product(): Expression {
    return this.#chain(['*', '/', '%'], () => this.#unary());
  }

  #chain(signs: string[], operand: () => Expression): Expression {
    let left = operand();
    for (let sign = this.#sign(signs); sign; sign = this.#sign(signs)) {
      const [a, of, b] = [left, sign, operand()];
      left = (look) => calculate(of, a(look), b(look));
    }
    return left;
  }

  #unary(): Expression {
    const sign = this.#sign(['+', '-']);
    if (!sign) return this.#primary();
    const inner = this.#unary();
    return (look) => calculate(sign, 0, inner(look));
  }

  #primary(): Expression {
    if (this.#take('(')) {
      const inner = this.or();
      this.#need(')');
      return inner;
    }
    if (this.#take('EXISTS')) return this.#exists();
    const call = this.#call();
    if (call) return call;
    const token = this.#peek;
    if (token.kind === 'number' || token.kind === 'string') return this.#constant(token.value);
    if (token.kind === 'parameter') {
      const value = this.#parameters[token.value];
      if (value === undefined) throw this.#bad(`the parameter ${token.value} is missing`);
      return this.#constant(value);
    }
    if (token.kind === 'word' && token.value === 'TRUE') return this.#constant(true);
    if (token.kind === 'word' && token.value === 'FALSE') return this.#constant(false);
    if (token.kind === 'word' && token.value === 'NULL') return this.#constant(null);
    const { scope, name } = this.property();
    return (look) => look(scope, name);
  }

  /** `newid()`, and a property whose name is worked out: `p(…)`, `property(…)`. */
  #call(): Expression | undefined {
    const { kind, value } = this.#peek;
    const isCall = kind === 'word' && this.#tokens[this.#at + 1]?.value === '(';
    if (!isCall || !['NEWID', 'P', 'PROPERTY'].includes(value)) return undefined;
    this.#at += 2;
    if (value === 'NEWID') {
      this.#need(')');
      return () => randomUUID();
    }
    const of = this.or();
    this.#need(')');
    return (look) => {
      const name = of(look);
      if (typeof name !== 'string') return null;
      const [, scope = 'user', rest = name] = /^(sys|user)\.(.+)$/is.exec(name) ?? [];
      return look(scope.toLowerCase() as Scope, rest);
    };
  }

  #constant(value: Value): Expression {
    this.#at++;
    return () => value;
  }

  #exists(): Expression {
    this.#need('(');
    const { scope, name } = this.property();
    this.#need(')');
    return (look) => look(scope, name) !== null;
  }

  property(): { scope: Scope; name: string } {
    const first = this.#name();
    if (!this.#take('.')) return { scope: 'user', name: first };
    const scope = first.toLowerCase();
    if (scope !== 'sys' && scope !== 'user')
      throw this.#bad(`'${first}.' is neither 'sys.' nor 'user.'`);
    return { scope, name: this.#name() };
  }

  // --- actions ---

  statements(): ((look: Look) => Change)[] {
    const statements: ((look: Look) => Change)[] = [];
    while (this.#peek.kind !== 'end') {
      if (this.#take(';')) continue;
      statements.push(this.#statement());
    }
    return statements;
  }

  #statement(): (look: Look) => Change {
    if (this.#take('REMOVE')) {
      const of = this.property();
      return () => ({ ...of, value: null });
    }
    this.#need('SET');
    const of = this.property();
    this.#need('=');
    const value = this.or();
    return (look) => ({ ...of, value: value(look) });
  }

  // --- tokens ---

  get #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', value: '' };
  }

  #take(keyword: string): boolean {
    const { kind, value } = this.#peek;
    if ((kind !== 'word' && kind !== 'sign') || value !== keyword) return false;
    this.#at++;
    return true;
  }

  #need(keyword: string): void {
    if (!this.#take(keyword))
      throw this.#bad(`${keyword} is missing before '${this.#peek.value || 'the end'}'`);
  }

  #sign(signs: string[]): string | undefined {
    const { kind, value } = this.#peek;
    if (kind !== 'sign' || !signs.includes(value)) return undefined;
    this.#at++;
    return value;
  }

  #string(): string {
    const token = this.#peek;
    if (token.kind !== 'string') throw this.#bad('a text in quotes is missing');
    this.#at++;
    return token.value;
  }

  #name(): string {
    const token = this.#peek;
    if (token.kind !== 'word' && token.kind !== 'quoted')
      throw this.#bad(`a property is missing before '${token.value || 'the end'}'`);
    this.#at++;
    return token.kind === 'word' ? token.text : token.value;
  }

  #bad = (why: string) => badSql(why, this.#text);
}
