import { NonRetryableError } from '../errors.ts';
import { asError } from '../model/error-record.ts';

/** Calls a function of a job type's definition; `what` is its name, at the beginning of a sentence. @throws NonRetryableError */
export function callAuthors<T>(what: string, type: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    const { message } = asError(cause);
    throw new NonRetryableError(`${what} of job type '${type}' threw: ${message}`, { cause });
  }
}
