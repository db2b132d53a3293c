import type { EntityJournal } from '../store/journal.ts';
import type { BrokerClock } from '../time.ts';
import type { QueueSettings } from './settings.ts';

/** The message ids that a queue has seen within its window; the oldest leave as the window moves on. */
export class Duplicates {
  // In the order in which they came: but for a change of the window, or of the clock, the oldest first.
  readonly #seen = new Map<string, { until: number; key: number }>();
  #nextKey = 1;
  readonly #settings: Pick<QueueSettings, 'duplicateWindowMs'>;
  readonly #clock: BrokerClock;
  readonly #journal: EntityJournal;

  constructor(
    settings: Pick<QueueSettings, 'duplicateWindowMs'>,
    clock: BrokerClock,
    journal: EntityJournal,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#journal = journal;
  }

  /** True if `messageId` came before within the window; else remembers it. */
  seenBefore(messageId: string): boolean {
    const now = this.#clock.now();
    this.#forget(now);
    const before = this.#seen.get(messageId);
    // The first may end after it, if the window was longer then: each has an end of its own.
    if (before && before.until > now) return true;
    if (before) this.#drop(messageId, before.key);
    const entry = { until: now + (this.#settings.duplicateWindowMs ?? 0), key: this.#nextKey++ };
    this.#seen.set(messageId, entry);
    this.#journal.putDuplicate(entry.key, { messageId, until: entry.until });
    return false;
  }

  restore(key: number, { messageId, until }: { messageId: string; until: number }): void {
    this.#seen.set(messageId, { until, key });
    this.#nextKey = Math.max(this.#nextKey, key + 1);
  }

  /** Forgets all of them. */
  clear(): void {
    this.#forget(Number.POSITIVE_INFINITY);
  }

  #forget(now: number): void {
    for (const [messageId, { until, key }] of this.#seen) {
      if (until > now) return;
      this.#drop(messageId, key);
    }
  }

  #drop(messageId: string, key: number): void {
    this.#seen.delete(messageId);
    this.#journal.deleteDuplicate(key);
  }
}
