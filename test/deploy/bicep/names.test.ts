/** What the compiler would say first: a name that nothing declares. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from 'web-tree-sitter';
import { type BicepFile, files } from './read.ts';

// Of Bicep itself, as far as they are used here (Learn, Bicep functions).
const functions = [
  ...['concat', 'contains', 'empty', 'filter', 'flatten', 'guid', 'join', 'json', 'map', 'replace'],
  ...['split', 'string', 'take', 'toLower', 'union', 'uniqueString'],
  ...['environment', 'resourceGroup', 'subscriptionResourceId', 'tenant'],
  ...['loadJsonContent', 'loadTextContent'],
  ...['allowed', 'batchSize', 'description', 'maxLength', 'maxValue', 'minLength', 'minValue'],
];

/** Loops and lambdas name their items before what they repeat. */
const introduces = ({ type }: Node) => type === 'for_statement' || type === 'lambda_expression';
const isName = (node: Node | null): node is Node => node?.type === 'identifier';

function introduced(node: Node): string[] {
  const names: string[] = [];
  for (let at: Node | null = node; at; at = at.parent)
    if (introduces(at)) {
      // The last two are what is gone through and what is made of it; a lambda has the latter alone.
      const parts = at.namedChildren.slice(0, at.type === 'lambda_expression' ? -1 : -2);
      names.push(...parts.flatMap((part) => part?.text.match(/\w+/g) ?? []));
    }
  return names;
}

function undeclared({ name, root, ...declared }: BicepFile): string[] {
  const { parameters, variables, resources, modules, outputs } = declared;
  const known = new Set([
    ...functions,
    ...[...parameters, ...variables, ...resources, ...modules, ...outputs].map((d) => d.name),
  ]);
  return root
    .descendantsOfType('identifier')
    .filter(isName)
    .filter((node) => !isKey(node) && !known.has(node.text))
    .filter((node) => !introduced(node).includes(node.text))
    .map((node) => `${name}:${node.startPosition.row + 1}: ${node.text}`);
}

const isKey = ({ parent, startIndex }: Node) =>
  parent?.type === 'object_property' && parent.startIndex === startIndex;

test('every name is declared: a parameter, variable, resource, module, item of a loop or function', () => {
  assert.deepEqual(files.flatMap(undeclared), []);
});
