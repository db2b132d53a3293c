/** How many jobs ended, by type: one line a minute in the log, which alerts and workbook read. */

import type { Happening } from './model/event.ts';
import { hasEnded, type JobRecord } from './model/job-record.ts';
import type { Clock, Log } from './ports.ts';

export const tallyPrefix = 'longhaul.ended';
const everyMs = 60_000;
// Of a sender's own invention.
const unknownType = '(unknown)';
// A line of the log is cut at 8,000 characters; a type has 100, its counts as many.
const typesALine = 25;

/** Times are sums, in milliseconds: of waiting from submit to start, and of running. */
type Counts = Record<string, number> & { waitMs: number; runMs: number };

export class Tally {
  // A sender may call a type anything, `__proto__` too.
  #counts = new Map<string, Counts>();
  #cancel: (() => void) | undefined;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #log: Log;
  readonly #isKnown: (type: string) => boolean;

  constructor(clock: Pick<Clock, 'after'>, log: Log, isKnown: (type: string) => boolean) {
    this.#isKnown = isKnown;
    this.#clock = clock;
    this.#log = log;
  }

  count(what: Happening, { type, createdAt, startedAt, finishedAt }: JobRecord): void {
    if (!(hasEnded as (state: string) => boolean)(what)) return;
    const name = this.#isKnown(type) ? type : unknownType;
    const of = this.#counts.get(name) ?? ({ waitMs: 0, runMs: 0 } as Counts);
    this.#counts.set(name, of);
    of[what] = (of[what] ?? 0) + 1;
    if (startedAt) of.waitMs += Date.parse(startedAt) - Date.parse(createdAt);
    if (startedAt && finishedAt) of.runMs += Date.parse(finishedAt) - Date.parse(startedAt);
    this.#cancel ??= this.#clock.after(everyMs, () => this.flush());
  }

  /** Also at shutdown; what a killed process counted is lost. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts];
    for (let at = 0; at < counts.length; at += typesALine) {
      const some = Object.fromEntries(counts.slice(at, at + typesALine));
      this.#log('info', `${tallyPrefix} ${JSON.stringify(some)}`);
    }
    this.#counts.clear();
  }
}
