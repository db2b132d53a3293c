/** Every error of Longhaul: a stable code, the HTTP status it becomes, and a message that says what to do. */

export interface ErrorOptions {
  cause?: unknown;
  /** More members of the problem document (RFC 9457, 3.2). */
  details?: Record<string, unknown>;
  /** Of a refusal that may pass: when to come again. */
  retryAfterSeconds?: number;
}

export class LonghaulError extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: Record<string, unknown>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, status: number, message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.details = options.details ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export interface Issue {
  /** Where in the value, as a JSON Pointer (RFC 6901): `/rows/0/price`; empty for the whole. */
  pointer: string;
  message: string;
}

export const toPointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

// Enough to see what is wrong; an answer is not to be larger than what was asked.
const issuesTold = 50;
const issueChars = 300;

/** The first of them, each cut to a readable length; the last says how many more there are. */
export function boundIssues(issues: readonly Issue[]): Issue[] {
  const told = issues.slice(0, issuesTold).map(({ pointer, message }) => ({
    pointer: pointer.slice(0, issueChars),
    message: message.slice(0, issueChars),
  }));
  const left = issues.length - told.length;
  return left > 0 ? [...told, { pointer: '', message: `and ${left} more` }] : told;
}

/** The issues in one sentence, for who reads the message only. */
export const listIssues = (issues: readonly Issue[]): string =>
  issues.map(({ pointer, message }) => `${pointer || '(whole)'}: ${message}`).join('; ');

export class InvalidInputError extends LonghaulError {
  constructor(what: string, issues: readonly Issue[], { cause }: ErrorOptions = {}) {
    const told = boundIssues(issues);
    super('invalid_input', 422, `${what} does not fit its schema. ${listIssues(told)}`, {
      cause,
      details: { errors: told },
    });
  }
}

export class BadRequestError extends LonghaulError {
  constructor(message: string, issues: readonly Issue[] = [], options: ErrorOptions = {}) {
    const errors = issues.length > 0 ? boundIssues(issues) : [{ pointer: '', message }];
    super('bad_request', 400, message, { ...options, details: { errors } });
  }
}

export class UnknownJobTypeError extends LonghaulError {
  constructor(type: string, known: readonly string[]) {
    super(
      'unknown_job_type',
      422,
      `There is no job type '${type}'. Known types: ${known.join(', ') || 'none'}.`,
      { details: { errors: [{ pointer: '/type', message: 'is not a known job type' }] } },
    );
  }
}

export class JobNotFoundError extends LonghaulError {
  constructor(id: string) {
    super('job_not_found', 404, `There is no job '${id}'. Check the id that the submit answered.`);
  }
}

export class FileNotFoundError extends LonghaulError {
  constructor(id: string, name: string) {
    super('file_not_found', 404, `Job '${id}' has no file '${name}'.`);
  }
}

export class JobNotFinishedError extends LonghaulError {
  constructor(id: string, state: string) {
    super(
      'job_not_finished',
      409,
      `Job '${id}' is ${state}: its result is there once it has succeeded. Ask for its status again later.`,
      { details: { state } },
    );
  }
}

export class JobHasNoResultError extends LonghaulError {
  constructor(id: string, state: string, error: unknown) {
    super('job_has_no_result', 409, `Job '${id}' ended as ${state}: it has no result.`, {
      details: { state, error },
    });
  }
}

export class JobEndedError extends LonghaulError {
  constructor(id: string, state: string) {
    super('job_ended', 409, `Job '${id}' has already ended as ${state}: nothing was changed.`, {
      details: { state },
    });
  }
}

export class JobNotFailedError extends LonghaulError {
  constructor(id: string, state: string) {
    super(
      'job_not_failed',
      409,
      `Job '${id}' is ${state}: only a failed job can be started again. Nothing was changed.`,
      { details: { state } },
    );
  }
}

export class UnknownEventError extends LonghaulError {
  constructor(type: string, name: string, known: readonly string[]) {
    super(
      'unknown_event',
      404,
      `Job type '${type}' waits for no event '${name}'. Its events: ${known.join(', ') || 'none'}.`,
    );
  }
}

export class EventReceivedError extends LonghaulError {
  constructor(id: string, name: string) {
    super('event_received', 409, `Job '${id}' has had event '${name}' already: the first stays.`);
  }
}

export class JobExpiredError extends LonghaulError {
  constructor(id: string, at: string) {
    super('job_expired', 410, `What was kept of job '${id}' was removed on ${at}.`, {
      details: { expiredAt: at },
    });
  }
}

export class ScheduleNotFoundError extends LonghaulError {
  constructor(id: string) {
    super('schedule_not_found', 404, `There is no schedule '${id}'. Make it with PUT.`);
  }
}

export class DeclaredScheduleError extends LonghaulError {
  constructor(id: string) {
    super(
      'declared_schedule',
      409,
      `Schedule '${id}' stands in the code of its job type: change it there. It can be paused and run here.`,
    );
  }
}

export class EqualJobError extends LonghaulError {
  constructor(id: string, standing: string) {
    super(
      'equal_job',
      409,
      `Job '${id}' was not started: job '${standing}' is its equal and stands for it.`,
      { details: { standing } },
    );
  }
}

export class PayloadTooLargeError extends LonghaulError {
  constructor(limitBytes: number) {
    super(
      'payload_too_large',
      413,
      `The request is larger than ${limitBytes} bytes. Put the data in Blob storage and give its name instead.`,
      { details: { limitBytes } },
    );
  }
}

export class UnsupportedMediaTypeError extends LonghaulError {
  constructor(contentType: string | null) {
    super(
      'unsupported_media_type',
      415,
      `Content-Type is '${contentType ?? 'missing'}': send application/json.`,
    );
  }
}

export class IdempotencyKeyReusedError extends LonghaulError {
  constructor() {
    super(
      'idempotency_key_reused',
      422,
      'This Idempotency-Key came before with another request: use a new key for a new request.',
    );
  }
}

/** Another writer changed the record first; whoever meets it reads again. */
export class ConflictError extends LonghaulError {
  constructor(id: string, cause?: unknown) {
    super('conflict', 409, `The record of '${id}' changed meanwhile: try again.`, { cause });
  }
}

/** True for what is refused now and would be again: not for trouble here, nor a write that came second. */
export const isRefusal = (error: unknown): error is LonghaulError =>
  error instanceof LonghaulError && error.status < 500 && !(error instanceof ConflictError);

/** A queue that a message names is not there. */
export class QueueNotFoundError extends LonghaulError {
  constructor(queue: string, cause?: unknown) {
    super('queue_not_found', 422, `There is no queue '${queue}'.`, { cause });
  }
}

/** The broker takes this message at no time: it is too large, or lacks the session that its queue asks for. */
export class MessageRefusedError extends LonghaulError {
  constructor(queue: string, cause: Error) {
    super('message_refused', 422, `Queue '${queue}' refuses the message: ${cause.message}`, {
      cause,
    });
  }
}

/** A setting is missing or wrong: the app does not start. */
export class SettingsError extends LonghaulError {
  constructor(message: string) {
    super('bad_settings', 500, message);
  }
}

/** A job type is defined wrongly: the app does not start. */
export class DefinitionError extends LonghaulError {
  constructor(problems: readonly string[]) {
    super('bad_definition', 500, `Job types are defined wrongly:\n  ${problems.join('\n  ')}`);
  }
}

// --- thrown by the author of a handler ----------------------------------------------------------

/** Ends a job as failed at once: another attempt would fail too. */
export class NonRetryableError extends LonghaulError {
  constructor(message: string, options: ErrorOptions & { code?: string } = {}) {
    super(options.code ?? 'non_retryable', 422, message, options);
  }
}

/** Fails the attempt and says when to try again, as a 429's Retry-After does. */
export class RetryAfterError extends LonghaulError {
  readonly retryAfter: number | Date | string;
  /**
   * `retryAfter`: milliseconds from now, a moment, a duration such as `'30s'`, or the text of a
   * Retry-After header (seconds or an HTTP date) as it came.
   */
  constructor(message: string, retryAfter: number | Date | string, options: ErrorOptions = {}) {
    super('retry_after', 503, message, options);
    this.retryAfter = retryAfter;
  }
}

/** The code of a job no longer fits what an earlier version of it kept. */
export class StepChangedError extends NonRetryableError {
  constructor(what: string, options: ErrorOptions = {}) {
    super(
      `${what}: the code does not fit the job's checkpoint. ` +
        'Let the old code finish its jobs, give the step its earlier name by `formerly`, or give the job type a new name.',
      { ...options, code: 'step_changed' },
    );
  }
}

export class StepRepeatedError extends NonRetryableError {
  constructor(name: string) {
    super(
      `The handler used the name '${name}' twice: what is kept under a name is kept once. Give each step and wait a name of its own, such as '${name} 2'.`,
      { code: 'step_repeated' },
    );
  }
}

export class EventTimeoutError extends NonRetryableError {
  constructor(name: string, until: string) {
    super(`Event '${name}' did not come by ${until}.`, { code: 'event_timeout' });
  }
}

export class ChildFailedError extends NonRetryableError {
  readonly child: string;

  constructor(group: string, index: number, child: string, state: string, cause: unknown) {
    super(
      `Child ${index} of '${group}' ended as ${state}: job '${child}'. Use childrenSettled for children that may fail.`,
      { cause, code: 'child_failed' },
    );
    this.child = child;
  }
}

/** A handler ended while something it had begun was under way, and nobody waited for it. */
export class NotAwaitedError extends NonRetryableError {
  constructor(what: string, begun: string | undefined, cause?: unknown) {
    super(`${what} was not awaited: write \`await\` before it.`, { cause, code: 'not_awaited' });
    // Where it was begun says more than where that was noticed.
    if (begun) this.stack = `${this.name}: ${this.message}\n${begun}`;
  }
}

/** A promise of a handler was rejected, and nobody looked at it. */
export class UnhandledRejectionError extends LonghaulError {
  constructor(cause: Error) {
    super(
      'unhandled_rejection',
      500,
      `A promise that the handler did not await was rejected: ${cause.name}: ${cause.message}`,
      { cause },
    );
    if (cause.stack) this.stack = `${this.name}: ${this.message}\n${cause.stack}`;
  }
}

/** A job's message is malformed. */
export class BadMessageError extends LonghaulError {
  constructor(why: string, options: ErrorOptions = {}) {
    super('invalid_input', 422, `The message cannot be read: ${why}`, {
      ...options,
      details: { errors: [{ pointer: '', message: why }] },
    });
  }
}

export class AddressRefusedError extends NonRetryableError {
  constructor(address: string, why: string) {
    super(`'${address}' is not called: ${why}.`, { code: 'address_refused' });
  }
}

export class NoSessionError extends NonRetryableError {
  constructor(type: string) {
    super(
      `Job type '${type}' has no session state: that is kept for a \`key\` with a \`limit\` of 1.`,
      { code: 'no_session' },
    );
  }
}

// --- reasons of an abort, seen by a handler as `job.signal.reason` -------------------------------

export class AttemptTimeoutError extends LonghaulError {
  constructor(timeout: string) {
    super('timeout', 504, `The attempt took longer than its timeout of ${timeout}.`);
    this.name = 'TimeoutError';
  }
}

export class JobCancelledError extends LonghaulError {
  constructor(id: string) {
    super('cancelled', 409, `Job '${id}' was cancelled.`);
  }
}

export class StoppingError extends LonghaulError {
  constructor() {
    super('stopping', 503, 'The worker is shutting down; the job goes on elsewhere.');
  }
}

export class AttemptEndedError extends LonghaulError {
  constructor(id: string) {
    super(
      'attempt_ended',
      409,
      `This attempt of job '${id}' has ended: what it left under way is not kept.`,
    );
  }
}

export class LockLostError extends LonghaulError {
  constructor(id: string, cause?: unknown) {
    super('lock_lost', 409, `This worker lost its claim on job '${id}': another one has it now.`, {
      cause,
    });
  }
}
