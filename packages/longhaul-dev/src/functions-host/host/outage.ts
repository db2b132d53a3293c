import type { Log } from '../log.ts';

// What the SDK says when it is the connection, not the request, that fails.
const codes = [
  ...['ServiceCommunicationProblem', 'GeneralError', 'ServiceUnavailable', 'ServiceBusy'],
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'ETIMEDOUT', 'EAI_AGAIN'],
];
const words = /connection|socket|ECONN|EPIPE|link|not open|closed|timed? ?out/i;
// Settled too late because the bus was away: the message comes again.
const lost = ['MessageLockLost', 'SessionLockLost'];
// An error without a beginning may be of an operation that began before the bus was back.
const lateMs = 2_000;

/** One line when the bus goes, one when it is back, whoever of the many listeners notices; the rest is detail. */
export class Outage {
  readonly #name: string;
  readonly #log: Log;
  #since: number | undefined;
  #lastReached = 0;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  /** True when nothing more need be said of this error. */
  explains(error: Error & { code?: string }, began = Date.now() - lateMs): boolean {
    const isOutage =
      error.code === undefined ? words.test(error.message) : codes.includes(error.code);
    if (!isOutage && !lost.includes(error.code ?? '')) return false;
    this.#log('debug', `${this.#name}: ${error.message}`);
    if (isOutage && this.#since === undefined && began > this.#lastReached) {
      this.#since = Date.now();
      this.#log('warning', `${this.#name} is out of reach: ${error.message}`);
    }
    return true;
  }

  reached(): void {
    const now = Date.now();
    if (this.#since !== undefined)
      this.#log(
        'warning',
        `${this.#name} is back after ${Math.ceil((now - this.#since) / 1000)} s.`,
      );
    this.#since = undefined;
    this.#lastReached = now;
  }
}
