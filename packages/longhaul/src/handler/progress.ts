/** Reports of progress, held back so that they are few. */

import type { Notify } from '../fate/listeners.ts';
import type { Progress } from '../model/job-record.ts';
import type { Clock } from '../ports.ts';
import type { Lease } from '../record/lease.ts';

// Four a second is as often as a person sees; a tight loop may report every row.
const progressEveryMs = 250;

const noteChars = 1_000;

/** Its three members, as a record can have them. */
const plain = ({ done, of, note }: Progress): Progress => ({
  done: Number(done),
  ...(of === undefined ? {} : { of: Number(of) }),
  ...(note === undefined ? {} : { note: String(note).slice(0, noteChars) }),
});

export class Reporter {
  readonly #lease: Lease;
  readonly #clock: Clock;
  readonly #notify: Notify;
  readonly #signal: AbortSignal;
  #latest: Progress | undefined;
  #lastAt = 0;

  constructor(
    lease: Lease,
    { clock, notify }: { clock: Clock; notify: Notify },
    signal: AbortSignal,
  ) {
    this.#lease = lease;
    this.#clock = clock;
    this.#notify = notify;
    this.#signal = signal;
  }

  async report(progress: Progress): Promise<void> {
    this.#signal.throwIfAborted();
    this.#latest = plain(progress);
    if (this.#clock.now().getTime() - this.#lastAt >= progressEveryMs) await this.flush();
  }

  /** The latest report, for whatever is written next. */
  take(): { progress?: Progress } {
    const taken = this.#latest ? { progress: this.#latest } : {};
    if (this.#latest) this.#notify('progress', { ...this.#lease.record, ...taken });
    this.#latest = undefined;
    this.#lastAt = this.#clock.now().getTime();
    return taken;
  }

  /** Writes a report that was held back. */
  async flush(): Promise<void> {
    if (!this.#latest) return;
    const also = this.take();
    await this.#lease.writeRunning((record) => ({ ...record, ...also }));
  }
}
