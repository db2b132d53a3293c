/** Schedules of another app. */
import type { Schedule, ScheduleDefinition } from '../model/schedule.ts';
import { type Http, queryOf } from './transport.ts';
import type { BatchAnswer, JobStatus } from './types.ts';

/** As the API tells it: with what has run, and the next five times. */
export interface ScheduleStatus extends ScheduleDefinition {
  readonly id: string;
  readonly next: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly history: Schedule['history'];
}

export interface ScheduleFilter {
  type?: string;
  tenant?: string;
  enabled?: boolean;
  limit?: number;
  cursor?: string;
}

export class SchedulesClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async list(
    filter: ScheduleFilter = {},
  ): Promise<{ schedules: ScheduleStatus[]; cursor?: string }> {
    return (await this.#http.json('GET', `/schedules${queryOf(filter)}`)) as {
      schedules: ScheduleStatus[];
      cursor?: string;
    };
  }

  async get(id: string): Promise<ScheduleStatus> {
    return (await this.#http.json('GET', pathOf(id))) as ScheduleStatus;
  }

  /** Makes it, or changes it as a whole. */
  async put(id: string, definition: ScheduleDefinition): Promise<ScheduleStatus> {
    return (await this.#http.json('PUT', pathOf(id), { body: definition })) as ScheduleStatus;
  }

  async putMany(
    definitions: readonly (ScheduleDefinition & { id: string })[],
  ): Promise<BatchAnswer> {
    return (await this.#http.json('POST', '/schedules/batch', {
      body: definitions,
    })) as BatchAnswer;
  }

  /** Changes some of it (RFC 7396): `{ enabled: false }` pauses it. */
  async patch(id: string, changes: Partial<ScheduleDefinition>): Promise<ScheduleStatus> {
    return (await this.#http.json('PATCH', pathOf(id), { body: changes })) as ScheduleStatus;
  }

  async remove(id: string): Promise<void> {
    await this.#http.json('DELETE', pathOf(id));
  }

  /** Runs it now: one job, however often it is sent. */
  async run(id: string): Promise<JobStatus> {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    return (await this.#http.json('POST', `${pathOf(id)}/run`, { headers })) as JobStatus;
  }
}

const pathOf = (id: string): string => `/schedules/${encodeURIComponent(id)}`;
