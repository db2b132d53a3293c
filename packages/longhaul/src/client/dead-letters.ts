/** Dead letters of another app. */
import { type Http, queryOf } from './transport.ts';
import type { JobStatus } from './types.ts';

export interface LetterFilter {
  lane?: string;
  queue?: string;
  reason?: string;
  type?: string;
  /** In the description. */
  error?: string;
}

export interface DeadLetter {
  readonly queue: string;
  readonly sequence: number;
  readonly type: string;
  readonly reason?: string;
  readonly description?: string;
  readonly enqueuedAt?: string;
  readonly body: string;
  readonly job?: JobStatus;
}

export interface DeadLetterGroup {
  readonly queue: string;
  readonly reason: string;
  readonly type: string;
  readonly error: string;
  readonly count: number;
}

export interface RedriveOptions extends LetterFilter {
  /** Of the one queue that is named. */
  sequences?: readonly number[];
  /** So many a second; default 50. */
  pace?: number;
  by?: string;
  why?: string;
}

export class DeadLettersClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async list(
    filter: LetterFilter & { limit?: number; cursor?: string } = {},
  ): Promise<{ letters: DeadLetter[]; cursor?: string }> {
    const path = `/dead-letters${queryOf(filter)}`;
    return (await this.#http.json('GET', path)) as { letters: DeadLetter[]; cursor?: string };
  }

  async groups(filter: LetterFilter = {}): Promise<DeadLetterGroup[]> {
    const path = `/dead-letters/groups${queryOf(filter)}`;
    return ((await this.#http.json('GET', path)) as { groups: DeadLetterGroup[] }).groups;
  }

  /** The job that starts theirs again: it says how far it is, and can be cancelled. */
  async redrive(options: RedriveOptions = {}): Promise<JobStatus> {
    const path = '/dead-letters/redrive';
    return (await this.#http.json('POST', path, { body: options, once: true })) as JobStatus;
  }

  /** The job that drops them. */
  async discard(options: RedriveOptions & { why: string }): Promise<JobStatus> {
    const path = '/dead-letters/discard';
    return (await this.#http.json('POST', path, { body: options, once: true })) as JobStatus;
  }
}
