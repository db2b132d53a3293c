/** An error as it is kept in a record and sent in events, and back. */
import { inspect } from 'node:util';
import { type LonghaulError, NonRetryableError } from '../errors.ts';

/** The cause chain is kept. */
export interface ErrorRecord {
  name: string;
  message: string;
  code?: string;
  stack?: string;
  cause?: ErrorRecord;
  errors?: unknown;
}

const stackLimit = 2_000;

/** Whatever was thrown, as an error that says what it was. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const told = typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 2 });
  return new Error(`${told.slice(0, stackLimit)} (thrown as it is: throw an Error instead)`, {
    cause: undefined,
  });
}

export function toErrorRecord(thrown: unknown, depth = 0): ErrorRecord {
  const error = asError(thrown);
  const { code, details } = error as Partial<LonghaulError>;
  return {
    name: String(error.name).slice(0, 200),
    message: String(error.message).slice(0, stackLimit),
    ...(typeof code === 'string' ? { code: code.slice(0, 200) } : {}),
    ...(details?.['errors'] ? { errors: details['errors'] } : {}),
    ...(error.stack && depth === 0 ? { stack: error.stack.slice(0, stackLimit) } : {}),
    ...(error.cause !== undefined && depth < 5
      ? { cause: toErrorRecord(error.cause, depth + 1) }
      : {}),
  };
}

/** An error again, with its chain of causes; of the classes only whether it is worth another try. */
export function fromErrorRecord(
  { name, message, code, stack, cause }: ErrorRecord,
  final: boolean,
): Error {
  const options = cause ? { cause: fromErrorRecord(cause, false) } : {};
  const error = final ? new NonRetryableError(message, options) : new Error(message, options);
  return Object.assign(error, { name }, code ? { code } : {}, stack ? { stack } : {});
}
