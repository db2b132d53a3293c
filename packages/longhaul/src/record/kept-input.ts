/** The input of a job, for whoever asks what it was told to do. */
import type { KnownType } from '../define/catalogue.ts';
import { redacted } from '../define/redact.ts';
import { BadMessageError, type ErrorOptions, LonghaulError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Blobs } from '../ports.ts';
import { bodyOf, fromBody } from './claim-check.ts';

export class NoInputError extends LonghaulError {
  constructor([id, why]: [id: string, why: string], options: ErrorOptions = {}) {
    super('no_input', 404, `Job '${id}' has no input to show: ${why}.`, options);
  }
}

/** Without what its type hides. @throws NoInputError */
export async function shownInput(
  blobs: Blobs,
  { id, type, input, unkept }: JobRecord,
  known: KnownType | undefined,
): Promise<unknown> {
  if (unkept) throw new NoInputError([id, 'its type keeps none']);
  if (!input) throw new NoInputError([id, 'none was kept']);
  if (!known)
    throw new NoInputError([id, `no job type '${type}' is here to say what of it is hidden`]);
  try {
    return redacted(await fromBody(blobs, id, bodyOf(input)), known.definition.redact ?? []);
  } catch (error) {
    if (error instanceof BadMessageError)
      throw new NoInputError([id, error.message], { cause: error });
    throw error;
  }
}
