import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidInputError, type Issue, toPointer } from '../errors.ts';

/** Reads `value` by a Standard Schema. @throws InvalidInputError that names each field. */
export async function validate(
  schema: StandardSchemaV1,
  value: unknown,
  what: string,
): Promise<unknown> {
  const read = await schema['~standard'].validate(value);
  if (!read.issues) return read.value;
  throw new InvalidInputError(what, read.issues.map(toIssue));
}

export function toIssue({ path = [], message }: StandardSchemaV1.Issue): Issue {
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  return { pointer: toPointer(keys), message };
}
