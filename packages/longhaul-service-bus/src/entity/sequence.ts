import type { EntityJournal } from '../store/journal.ts';

// Kept in blocks, so that giving a number out costs no write; a restart skips the rest of its block.
const block = 10_000;

/** The sequence numbers of one queue: from 1, rising, never given twice. */
export class Sequence {
  #next = 1;
  #kept = 1;
  readonly #journal: EntityJournal;

  constructor(journal: EntityJournal) {
    this.#journal = journal;
  }

  take(): number {
    if (this.#next >= this.#kept) {
      this.#kept = this.#next + block;
      this.#journal.putCounter(this.#kept);
    }
    return this.#next++;
  }

  /** Forgets how far it came: the queue is removed. */
  clear(): void {
    this.#journal.putCounter(undefined);
  }

  /**
   * `highest` is the highest number that is there. When it is beyond what was kept, that was lost with
   * a part of the log, and so may others be that were given out after it.
   */
  restore(kept: number, highest: number): void {
    this.#next = highest < kept ? kept : highest + block;
    this.#kept = this.#next;
  }
}
