import type { Clock } from '../../clock.ts';
import type { EntityJournal } from '../store/journal.ts';
import type { QueueSettings } from './settings.ts';

/** The message ids that a queue has seen within its window; the oldest leave as the window moves on. */
export class Duplicates {
  // A Map keeps insertion order, and the window is the same for all: the oldest is always the first.
  readonly #seen = new Map<string, { until: number; key: number }>();
  #nextKey = 1;
  readonly #settings: Pick<QueueSettings, 'duplicateWindowMs'>;
  readonly #clock: Clock;
  readonly #journal: EntityJournal;

  constructor(
    settings: Pick<QueueSettings, 'duplicateWindowMs'>,
    clock: Clock,
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
    if (this.#seen.has(messageId)) return true;
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
      this.#seen.delete(messageId);
      this.#journal.deleteDuplicate(key);
    }
  }
}
