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

/** What a text of it is; odd values are told as such. Never throws. */
function textOf(value: unknown): string {
  try {
    return typeof value === 'string' ? value : inspect(value, { depth: 2 });
  } catch {
    return 'something that cannot be shown';
  }
}

/** Whatever was thrown, as an error that says what it was, whose parts are text. Never throws. */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) {
      const { name, message, stack } = thrown;
      const isPlain = typeof name === 'string' && typeof message === 'string';
      if (isPlain && (stack === undefined || typeof stack === 'string')) return thrown;
    }
  } catch {
    // A getter, or a proxy, that throws: told below.
  }
  return new Error(
    `${textOf(thrown).slice(0, stackLimit)} (thrown as it is: throw an Error instead)`,
  );
}

/** For a log, with its causes; nothing else of an error, which may hold what is no business of a log. */
export function stackOf(thrown: unknown, depth = 0): string {
  const { stack, name, message, cause } = asError(thrown);
  const own = (stack ?? `${name}: ${message}`).replaceAll(/[\r\n]+/g, '\n  ');
  return cause instanceof Error && depth < 5
    ? `${own}\ncaused by ${stackOf(cause, depth + 1)}`
    : own;
}

// Of the issues of an input; more than that is no longer read.
const issuesChars = 20_000;

/** What of the details goes on record. Never throws. */
function issuesOf(error: Partial<LonghaulError>): { errors?: unknown } {
  try {
    const errors = error.details?.['errors'];
    const json = errors === undefined ? undefined : JSON.stringify(errors);
    return json === undefined || json.length > issuesChars ? {} : { errors: JSON.parse(json) };
  } catch {
    return {};
  }
}

export function toErrorRecord(thrown: unknown, depth = 0): ErrorRecord {
  const error = asError(thrown);
  const { name, message, stack } = error;
  const { code, cause } = membersOf(error);
  return {
    name: name.slice(0, 200),
    message: message.slice(0, stackLimit),
    ...(typeof code === 'string' ? { code: code.slice(0, 200) } : {}),
    ...issuesOf(error),
    ...(stack && depth === 0 ? { stack: stack.slice(0, stackLimit) } : {}),
    ...(cause !== undefined && depth < 5 ? { cause: toErrorRecord(cause, depth + 1) } : {}),
  };
}

function membersOf(error: Error): { code?: unknown; cause?: unknown } {
  try {
    const { code, cause } = error as Partial<LonghaulError>;
    return { code, cause };
  } catch {
    return {};
  }
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
