/** Schedules in memory, with what the port promises. */
import { ConflictError } from '../errors.ts';
import { type Schedule, wakeAt } from '../model/schedule.ts';
import type { Schedules, StoredSchedule } from '../ports.ts';

export class ScheduleStore {
  readonly #all = new Map<string, StoredSchedule & { wake: number }>();
  #version = 0;

  /** For who looks at what is written and removed. */
  protected changed(_id: string, _schedule: Schedule | undefined): void {}

  get all(): Schedule[] {
    return [...this.#all.values()].map(({ schedule }) => schedule);
  }

  /** When one is to be looked at next. */
  get nextWakeAt(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { wake } of this.#all.values()) if (wake < next) next = wake;
    return next;
  }

  port(call: <T>(act: () => T) => Promise<T>): Schedules {
    return {
      saltOf: async () => '',
      read: (id) => call(() => structuredClone(this.#all.get(id))),
      write: (schedule, stored) =>
        call(() => {
          this.#refuseStale(schedule.id, stored);
          this.changed(schedule.id, structuredClone(schedule));
          this.#all.set(schedule.id, {
            schedule: structuredClone(schedule),
            etag: String(++this.#version),
            wake: Date.parse(wakeAt(schedule) ?? '9999-01-01'),
          });
        }),
      remove: (stored) =>
        call(() => {
          this.#refuseStale(stored.schedule.id, stored);
          this.changed(stored.schedule.id, undefined);
          this.#all.delete(stored.schedule.id);
        }),
      due: (until) => this.#due(until, call),
      list: async () => ({ schedules: this.all, cursor: undefined }),
    };
  }

  async *#due(until: Date, call: <T>(act: () => T) => Promise<T>): AsyncIterable<string[]> {
    yield await call(() =>
      [...this.#all].filter(([, { wake }]) => wake <= until.getTime()).map(([id]) => id),
    );
  }

  #refuseStale(id: string, stored: StoredSchedule | undefined): void {
    if (this.#all.get(id)?.etag !== stored?.etag) throw new ConflictError(id);
  }
}
