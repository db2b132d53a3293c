import { LonghaulError } from '../errors.ts';

/** The job ended otherwise than succeeded; `cause` is the remote error. */
export class JobFailedError extends LonghaulError {
  readonly id: string;
  readonly state: string;

  constructor(
    id: string,
    state: string,
    error: { name?: string; message?: string; code?: string } | undefined,
  ) {
    const cause = error && Object.assign(new Error(error.message), error);
    const why = error?.message ? `: ${error.message}` : '.';
    super('job_failed', 502, `Job '${id}' ended as ${state}${why}`, { cause });
    this.id = id;
    this.state = state;
  }
}

/** No result in time. A job that was taken goes on; without an `id` nothing is known of that. */
export class CallTimeoutError extends LonghaulError {
  readonly id: string | undefined;

  constructor(id: string | undefined, { timeout, cause }: { timeout: string; cause?: unknown }) {
    const told =
      id === undefined
        ? `The request had no answer after ${timeout}: its job may have been taken or not.`
        : `Job '${id}' had not ended after ${timeout}. It goes on.`;
    super('call_timeout', 504, told, { cause });
    this.id = id;
  }
}

/** The request was refused and would be again; over HTTP `details` are those of the problem document. */
export class RequestRefusedError extends LonghaulError {
  constructor(
    status: number,
    code: string,
    message: string,
    details: Record<string, unknown> = {},
    cause?: unknown,
  ) {
    super(code, status, message, { details, cause });
  }
}

/** Nothing is known of the request: it may have been taken or not. */
export class UnreachableError extends LonghaulError {
  constructor(what: string, options: { cause: unknown }) {
    const { message, cause } = options.cause as Error & { cause?: { code?: string } };
    // fetch itself says only that it failed.
    const why = cause?.code ? `${message} (${cause.code})` : message;
    super(
      'unreachable',
      503,
      `${what} is out of reach: ${why}. Is the app there, and started?`,
      options,
    );
  }
}
