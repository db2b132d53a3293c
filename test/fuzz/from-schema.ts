/** Values that a JSON Schema describes, and values that are nearly such. */
import { fc } from '../support/properties.ts';
import { type Json, oddJson, oddText, rawNumber } from './values.ts';

export interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  const?: unknown;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minimum?: number;
  maximum?: number;
}

const asJson = (value: unknown): Json =>
  typeof value === 'string' ? value : { raw: JSON.stringify(value) };

/** `find`: what a reference within the document stands for. */
export function valuesOf(schema: Schema, find: (ref: string) => Schema): fc.Arbitrary<Json> {
  const of = (one: Schema) => valuesOf(one, find);
  if (schema.$ref !== undefined) return of(find(schema.$ref));
  if (schema.const !== undefined) return fc.constant(asJson(schema.const));
  if (schema.enum) return fc.constantFrom(...schema.enum.map(asJson));
  if (schema.allOf) return fc.tuple(...schema.allOf.map(of)).map(together);
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return fc.oneof(...either.map(of));
  switch (schema.properties ? 'object' : schema.type) {
    case 'object':
      return membersOf(schema, of);
    case 'array': {
      const { items = {}, minItems = 0, maxItems = 5 } = schema;
      const bounds = { minLength: minItems, maxLength: Math.min(maxItems, minItems + 4) };
      return fc.array(of(items), bounds).map((all) => ({ items: all }));
    }
    case 'string':
      return textOf(schema);
    case 'integer':
    case 'number': {
      const { minimum = -1_000, maximum = 1_000 } = schema;
      return fc.integer({ min: Math.ceil(minimum), max: Math.floor(maximum) }).map(rawNumber);
    }
    case 'boolean':
      return fc.boolean().map((raw) => ({ raw: String(raw) }));
    default:
      return oddJson;
  }
}

function textOf({ pattern, minLength = 0, maxLength = 256 }: Schema): fc.Arbitrary<Json> {
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  const most = Math.max(minLength, Math.min(maxLength, 40));
  return fc.string({ minLength, maxLength: most });
}

function membersOf(
  { properties = {}, required = [], additionalProperties }: Schema,
  of: (one: Schema) => fc.Arbitrary<Json>,
): fc.Arbitrary<Json> {
  const known = Object.entries(properties).map(([name, one]) => {
    const member = of(one).map((value): [string, Json][] => [[name, value]]);
    const none = fc.constant<[string, Json][]>([]);
    // What has a schema of its own is what most of the others depend on.
    const isNeeded = required.includes(name) || one.$ref !== undefined;
    return isNeeded ? member : fc.oneof({ weight: 6, arbitrary: none }, member);
  });
  const more =
    typeof additionalProperties === 'object'
      ? fc.array(fc.tuple(fc.string(), of(additionalProperties)), { maxLength: 3 })
      : fc.constant<[string, Json][]>([]);
  return fc.tuple(more, ...known).map((all) => ({ members: all.flat() as [string, Json][] }));
}

/** The members of all: what the second says stands for what the first did. */
function together(all: Json[]): Json {
  const members = new Map<string, Json>();
  for (const one of all)
    if (typeof one === 'object' && 'members' in one)
      for (const [name, value] of one.members) members.set(name, value);
  return { members: [...members] };
}

/** The value, or one with something in it changed, taken away or added. */
export const nearly = (values: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc.oneof(
    values,
    fc
      .tuple(values, fc.nat(), oddJson, oddText)
      .map(([value, at, odd, name]) => changed(value, at, odd, name)),
  );

function changed(value: Json, at: number, odd: Json, name: string): Json {
  if (typeof value === 'string' || 'raw' in value) return odd;
  if ('items' in value) {
    const where = at % (value.items.length + 1);
    const inner = value.items[where];
    const one = inner === undefined ? odd : changed(inner, at >> 3, odd, name);
    return { items: value.items.toSpliced(where, 1, one) };
  }
  const where = at % (value.members.length + 2);
  const member = value.members[where];
  if (!member) return { members: [...value.members, [name, odd]] };
  const what = (at >> 4) % 3;
  if (what === 0) return { members: value.members.toSpliced(where, 1) };
  const inner = what === 1 ? odd : changed(member[1], at >> 6, odd, name);
  return { members: value.members.toSpliced(where, 1, [member[0], inner]) };
}
