import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidInputError, type Issue, toPointer } from '../errors.ts';
import { asError } from '../model/error-record.ts';

/**
 * Reads `value` by a Standard Schema. @throws InvalidInputError that names each field, also where the
 * schema's own code threw
 */
export async function validate(
  schema: StandardSchemaV1,
  value: unknown,
  what: string,
): Promise<unknown> {
  const read = await resultOf(schema, value, what);
  if (!read.issues) return read.value;
  throw new InvalidInputError(what, read.issues.map(toIssue));
}

async function resultOf(schema: StandardSchemaV1, value: unknown, what: string) {
  try {
    return await schema['~standard'].validate(value);
  } catch (error) {
    throw threw(what, error);
  }
}

const threw = (what: string, cause: unknown) =>
  new InvalidInputError(
    what,
    [{ pointer: '', message: `its schema threw: ${asError(cause).message}` }],
    { cause },
  );

export function toIssue({ path = [], message }: StandardSchemaV1.Issue): Issue {
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  return { pointer: toPointer(keys), message };
}
