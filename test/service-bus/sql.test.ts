import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAction, compileFilter, type Look, type Value } from '#service-bus/entity/sql.js';
import { fc } from '../support/properties.ts';

const message: Record<string, Value> = {
  colour: 'red',
  size: 3,
  price: 2.5,
  yes: true,
  at: new Date(1000),
  'odd name': 'x',
  quote: "it's",
  'sys.Label': 'hello',
};
const look: Look = (scope, name) => message[scope === 'sys' ? `sys.${name}` : name] ?? null;

// Three-valued: what is unknown is not taken, and neither is its negation.
const cases: [text: string, taken: boolean][] = [
  ['1=1', true],
  ['1=0', false],
  ["colour = 'red'", true],
  ["user.colour = 'red' AND size = 3", true],
  ["colour <> 'red'", false],
  ["colour != 'blue'", true],
  ['size > 2 AND size <= 3', true],
  ['size BETWEEN', false],
  ['missing = 1', false],
  ['NOT missing = 1', false],
  ['missing = absent', false],
  ['missing = 1 OR size = 3', true],
  ['missing = 1 AND size = 3', false],
  ['missing IS NULL', true],
  ['missing IS NOT NULL', false],
  ['size IS NOT NULL', true],
  ['EXISTS(size)', true],
  ['NOT EXISTS(user.missing)', true],
  ["colour LIKE 'r%'", true],
  ["colour LIKE '_e_'", true],
  ["colour NOT LIKE '%x%'", true],
  ["quote = 'it''s'", true],
  ["colour LIKE 're!d' ESCAPE '!'", true],
  ["colour IN ('blue', 'red')", true],
  ["colour NOT IN ('blue')", true],
  ['size * 2 + 1 = 7', true],
  ['(size + 1) * 2 = 8', true],
  ['-size = 0 - 3', true],
  ['size % 2 = 1', true],
  ['price / 2 = 1.25', true],
  ['yes = TRUE', true],
  ['yes', true],
  ["[odd name] = 'x'", true],
  ['"odd name" = \'x\'', true],
  ["sys.Label = 'hello'", true],
  ["size = '3'", false],
  ["not (colour = 'blue')", true],
  ['size = 3 and colour = @wanted', true],
];

for (const [text, taken] of cases)
  test(`${text} is ${taken}`, () => {
    const compile = () => compileFilter(text, { '@wanted': 'red' });
    if (text.endsWith('BETWEEN')) assert.throws(compile, /is no SQL of a rule/);
    else assert.equal(compile()(look), taken);
  });

test('what is no SQL is told of with the place, and never crashes', () => {
  for (const text of [
    "'open",
    'a =',
    '(a = 1',
    'a = 1)',
    'other.a = 1',
    'a ! 1',
    '@none = 1',
    '('.repeat(5000),
  ])
    assert.throws(() => compileFilter(text), { name: 'Error', message: /is no SQL of a rule/ });
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      try {
        compileFilter(text)(look);
      } catch (error) {
        assert.match((error as Error).message, /is no SQL of a rule/);
      }
    }),
  );
});

test('actions set and remove, in their order', () => {
  const act = compileAction("SET total = size * price; REMOVE colour; SET sys.Label = 'done'");
  assert.deepEqual(act(look), [
    { scope: 'user', name: 'total', value: 7.5 },
    { scope: 'user', name: 'colour', value: null },
    { scope: 'sys', name: 'Label', value: 'done' },
  ]);
  assert.throws(() => compileAction('DROP TABLE jobs'), /SET is missing/);
});
