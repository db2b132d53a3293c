/**
 * Reads Bicep without its compiler, which no registry of this project carries: declarations with their
 * values, literals as they are, everything else as its text.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Language, type Node, Parser } from 'web-tree-sitter';
import { root } from '../../support/stack.ts';

export const folder = join(root, 'bicep');

/** What is no literal: its source text. */
export interface Expression {
  text: string;
}
export type Value = string | number | boolean | Expression | Value[] | { [name: string]: Value };

export interface Declaration {
  name: string;
  /** A resource's `type@version`, a module's file; empty for the rest. */
  of: string;
  isExisting: boolean;
  node: Node;
  body: Node | undefined;
}

export interface BicepFile {
  name: string;
  text: string;
  root: Node;
  /** Where the text is no Bicep that the grammar knows; undefined when it all is. */
  problem: string | undefined;
  resources: Declaration[];
  modules: Declaration[];
  parameters: Declaration[];
  variables: Declaration[];
  outputs: Declaration[];
}

await Parser.init();
const parser = new Parser();
const grammar = createRequire(import.meta.url).resolve('tree-sitter-bicep/package.json');
parser.setLanguage(await Language.load(join(dirname(grammar), 'tree-sitter-bicep.wasm')));

export function readBicep(name: string): BicepFile {
  const text = readFileSync(join(folder, name), 'utf8');
  const tree = parser.parse(text);
  if (!tree) throw new Error(`${name} cannot be parsed`);
  const all = (kind: string) => tree.rootNode.descendantsOfType(kind).flatMap((n) => n ?? []);
  const bad = tree.rootNode.hasError ? firstError(tree.rootNode) : undefined;
  return {
    name,
    text,
    root: tree.rootNode,
    problem: bad && `${name}:${bad.startPosition.row + 1}: ${bad.text.split('\n')[0]}`,
    resources: all('resource_declaration').map(declaration),
    modules: all('module_declaration').map(declaration),
    parameters: all('parameter_declaration').map(declaration),
    variables: all('variable_declaration').map(declaration),
    outputs: all('output_declaration').map(declaration),
  };
}

export const files: BicepFile[] = readdirSync(folder)
  .filter((name) => name.endsWith('.bicep'))
  .sort()
  .map(readBicep);

function childrenOf(node: Node): Node[] {
  return node.namedChildren.flatMap((child) => (child && child.type !== 'comment' ? [child] : []));
}

function firstError(node: Node): Node {
  for (const child of node.children)
    if (child && (child.isError || child.isMissing)) return child;
    else if (child?.hasError) return firstError(child);
  return node;
}

function declaration(node: Node): Declaration {
  const [name, ...rest] = childrenOf(node).filter(({ type }) => type !== 'decorators');
  const isNamed = node.type === 'resource_declaration' || node.type === 'module_declaration';
  const of = isNamed ? rest[0] : undefined;
  const values = rest.filter((part) => part !== of && part.type !== 'type');
  return {
    name: name?.text ?? '',
    of: of ? String(toValue(of)) : '',
    isExisting: /^resource\s+\S+\s+'[^']+'\s+existing/.test(node.text),
    node,
    body: values.at(-1),
  };
}

/** Of a loop or a condition, what it repeats or guards. */
export function toValue(node: Node): Value {
  const parts = childrenOf(node);
  switch (node.type) {
    case 'object':
      return Object.fromEntries(propertiesOf(node).map(([name, value]) => [name, toValue(value)]));
    case 'array':
      return parts.map(toValue);
    case 'number':
      return Number(node.text);
    case 'boolean':
      return node.text === 'true';
    case 'string':
      return parts.some(({ type }) => type !== 'string_content')
        ? { text: node.text }
        : parts.map(({ text }) => text).join('');
    case 'for_statement':
    case 'if_statement':
      return toValue(parts.at(-1) ?? node);
    default:
      return { text: node.text };
  }
}

export function propertiesOf(object: Node): [name: string, value: Node][] {
  return childrenOf(object)
    .filter(({ type }) => type === 'object_property')
    .flatMap((property) => {
      const [key, value] = childrenOf(property);
      if (!key || !value) return [];
      const name = key.type === 'string' ? key.text.slice(1, -1) : key.text;
      return [[name, value] as [string, Node]];
    });
}

/** Every object that a value may turn out to be. */
export function objectsOf(node: Node): Node[] {
  if (node.type === 'object') return [node];
  const parts = childrenOf(node);
  if (node.type === 'ternary_expression') return parts.slice(1).flatMap(objectsOf);
  if (['if_statement', 'for_statement', 'parenthesized_expression'].includes(node.type))
    return parts.flatMap(objectsOf);
  return [];
}

/** What stands at a path like `properties.siteConfig.ftpsState`. */
export function at(declared: Declaration | undefined, path: string): Value | undefined {
  let value: Value | undefined = declared?.body ? toValue(declared.body) : undefined;
  for (const part of path.split('.'))
    value =
      typeof value === 'object' && !Array.isArray(value) && part in value
        ? (value as Record<string, Value>)[part]
        : undefined;
  return value;
}

export const fileNamed = (name: string): BicepFile => {
  const found = files.find((file) => file.name === name);
  if (!found) throw new Error(`There is no bicep/${name}.`);
  return found;
};

export const resourceNamed = (file: string, name: string): Declaration => {
  const found = fileNamed(file).resources.find((resource) => resource.name === name);
  if (!found) throw new Error(`bicep/${file} declares no resource ${name}.`);
  return found;
};
