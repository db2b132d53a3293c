/** Pauses of types and lanes of another app. */
import type { Http } from './transport.ts';

export interface PauseStatus {
  readonly scope: 'type' | 'lane';
  readonly name: string;
  readonly state: 'paused' | 'resuming';
  readonly at: string;
  readonly by?: string;
  readonly why?: string;
  readonly until?: string;
  /** How many jobs wait for it; a thousand stands for more. */
  readonly waiting: number;
}

export interface PauseOptions {
  by?: string;
  why?: string;
  /** A time, or a span from now such as `2h`: it resumes by itself then. */
  until?: string;
}

export class PausesClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async list(): Promise<PauseStatus[]> {
    return ((await this.#http.json('GET', '/pauses')) as { pauses: PauseStatus[] }).pauses;
  }

  async pause(
    scope: PauseStatus['scope'],
    name: string,
    options: PauseOptions = {},
  ): Promise<PauseStatus> {
    return (await this.#http.json('PUT', pathOf(scope, name), { body: options })) as PauseStatus;
  }

  async resume(scope: PauseStatus['scope'], name: string): Promise<PauseStatus> {
    return (await this.#http.json('DELETE', pathOf(scope, name))) as PauseStatus;
  }
}

const pathOf = (scope: string, name: string): string =>
  `/pauses/${scope}/${encodeURIComponent(name)}`;
