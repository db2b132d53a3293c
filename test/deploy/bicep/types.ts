/**
 * Resources against Microsoft's published types (github.com/Azure/bicep-types-az, `generated/`): types
 * and versions that exist, properties that exist, none missing, none read-only, literals as allowed.
 * The types are data of others and not in this repository: see docs/deploy.md for how to get them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Node } from 'web-tree-sitter';
import { type BicepFile, objectsOf, propertiesOf, toValue } from './read.ts';

interface TypeReference {
  $ref: string;
}
interface PropertyType {
  type: TypeReference;
  /** Bits: 1 required, 2 read-only. */
  flags: number;
}
interface Type {
  $type: string;
  name?: string;
  value?: string;
  body?: TypeReference;
  itemType?: TypeReference;
  properties?: Record<string, PropertyType>;
  additionalProperties?: TypeReference;
  discriminator?: string;
  baseProperties?: Record<string, PropertyType>;
  elements?: TypeReference[] | Record<string, TypeReference>;
  /** Of a string, its length, or of a number. */
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minValue?: number;
  maxValue?: number;
}

const required = 1;
const readOnly = 2;
// Bicep's own words beside a resource's properties.
const bicepWords = new Set(['parent', 'scope', 'dependsOn', 'name']);

/** `folder` holds files named `provider@version.N.json`; answers what is wrong, a line each. */
export function checkTypes(file: BicepFile, folder: string): string[] {
  const problems: string[] = [];
  for (const { of, node, body, isExisting } of file.resources) {
    const report = (where: Node, what: string) =>
      problems.push(`${file.name}:${where.startPosition.row + 1}: ${what}`);
    const [, provider = '', version = ''] = /^([^/]+)\/[^@]+@(.+)$/.exec(of) ?? [];
    const found = findType(folder, `${provider}@${version}`.toLowerCase(), of);
    if (!found) report(node, `there is no ${of}`);
    else if (body && !isExisting) new Check(found.types, report).value(body, found.body, of);
  }
  return problems;
}

function findType(folder: string, prefix: string, of: string) {
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith(`${prefix}.`))) {
    const types = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Type[];
    const resource = types.find(
      (type) => type.$type === 'ResourceType' && type.name?.toLowerCase() === of.toLowerCase(),
    );
    const body = resource?.body && types[indexOf(resource.body)];
    if (body) return { types, body };
  }
  return undefined;
}

const indexOf = ({ $ref }: TypeReference) => Number($ref.slice(2));

class Check {
  readonly #types: Type[];
  readonly #report: (where: Node, what: string) => void;

  constructor(types: Type[], report: (where: Node, what: string) => void) {
    this.#types = types;
    this.#report = report;
  }

  value(node: Node, type: Type, path: string, isRoot = true): void {
    const value = toValue(node);
    switch (type.$type) {
      case 'ArrayType':
        if (node.type === 'array')
          for (const item of node.namedChildren)
            if (item && type.itemType) this.value(item, this.#type(type.itemType), path, false);
        return;
      case 'UnionType':
        this.#union(node, type, path);
        return;
      case 'BooleanType':
      case 'IntegerType':
        if (typeof value === 'string') this.#report(node, `${path}: a string, not ${type.$type}`);
        if (typeof value === 'number') this.#bounds(node, value, type, path);
        return;
      case 'StringType':
        if (typeof value === 'number' || typeof value === 'boolean')
          this.#report(node, `${path}: ${value} is no string`);
        if (typeof value === 'string') this.#bounds(node, value, type, path);
        return;
      case 'DiscriminatedObjectType':
        for (const object of objectsOf(node)) this.#discriminated(object, type, path, isRoot);
        return;
      case 'ObjectType':
        for (const object of objectsOf(node)) this.#object(object, type, path, isRoot);
    }
  }

  #type = (reference: TypeReference): Type => this.#types[indexOf(reference)] as Type;

  #bounds(node: Node, value: string | number, type: Type, path: string): void {
    const isText = typeof value === 'string';
    const size = isText ? value.length : value;
    const least = (isText ? type.minLength : type.minValue) ?? Number.NEGATIVE_INFINITY;
    const most = (isText ? type.maxLength : type.maxValue) ?? Number.POSITIVE_INFINITY;
    if (size < least || size > most)
      this.#report(node, `${path}: ${value} is not within ${least} and ${most}`);
    if (isText && type.pattern && !new RegExp(type.pattern).test(value))
      this.#report(node, `${path}: '${value}' does not fit ${type.pattern}`);
  }

  #union(node: Node, { elements = [] }: Type, path: string): void {
    const value = toValue(node);
    const options = Object.values(elements).map((element) => this.#type(element));
    if (typeof value !== 'string' || options.some((option) => option.$type === 'StringType'))
      return;
    if (!options.some((option) => option.value === value))
      this.#report(node, `${path}: '${value}' is none of ${options.map((o) => o.value)}`);
  }

  #discriminated(object: Node, type: Type, path: string, isRoot: boolean): void {
    const { discriminator = '', elements = {}, baseProperties = {} } = type;
    const kind = propertiesOf(object).find(([name]) => name === discriminator)?.[1];
    const value = kind && toValue(kind);
    if (typeof value !== 'string') return;
    const element = (elements as Record<string, TypeReference>)[value];
    if (!element) {
      this.#report(object, `${path}.${discriminator}: '${value}' is unknown`);
      return;
    }
    const chosen = this.#type(element);
    const properties = { ...baseProperties, ...chosen.properties };
    this.#object(object, { ...chosen, properties }, path, isRoot);
  }

  #object(object: Node, type: Type, path: string, isRoot: boolean): void {
    const { properties = {}, additionalProperties } = type;
    const given = propertiesOf(object).filter(([name]) => !(isRoot && bicepWords.has(name)));
    for (const [name, value] of given) {
      if (name.includes('$' + '{')) continue;
      const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const of = known?.type ?? additionalProperties;
      if (!of) this.#report(value, `${path}: there is no property ${name}`);
      else if (known && known.flags & readOnly) this.#report(value, `${path}.${name} is read-only`);
      else this.value(value, this.#type(of), `${path}.${name}`, false);
    }
    const names = new Set(propertiesOf(object).map(([name]) => name));
    for (const [name, { flags }] of Object.entries(properties))
      if (
        flags & required &&
        !(flags & readOnly) &&
        !names.has(name) &&
        !(isRoot && bicepWords.has(name))
      )
        this.#report(object, `${path}: ${name} is missing`);
  }
}
