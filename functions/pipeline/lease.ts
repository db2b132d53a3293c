/** A worker's claim on a job's record: every write is conditional, and a lost claim writes nothing. */
import { ConflictError, LockLostError } from '../errors.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import type { Records, Stored } from './ports.ts';

export class Lease {
  readonly owner: string;
  readonly #records: Records;
  #stored: Stored;
  /** Whose writes were seen when this claim began; anybody else's mean that it is lost. */
  readonly #before: { owner: string | undefined; attempt: number };
  #queue: Promise<unknown> = Promise.resolve();
  #lost = false;

  constructor(records: Records, stored: Stored, owner: string) {
    this.owner = owner;
    this.#records = records;
    this.#stored = stored;
    this.#before = { owner: stored.record.owner, attempt: stored.record.attempt };
  }

  get record(): JobRecord {
    return this.#stored.record;
  }

  /** Applies `change` to the newest record and writes it. @throws LockLostError */
  write(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    return this.#inTurn(async () => {
      for (;;) {
        const next = { ...change(this.#stored.record), owner: this.owner };
        try {
          this.#stored = await this.#records.write(next, this.#stored.etag);
          return this.#stored.record;
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
          if (await this.#readAgain()) return this.#stored.record;
        }
      }
    });
  }

  /** Reads what others wrote: a cancel. @throws LockLostError */
  refresh(): Promise<JobRecord> {
    return this.#inTurn(async () => {
      await this.#readAgain();
      return this.#stored.record;
    });
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      if (this.#lost) throw new LockLostError(this.record.id);
      return act();
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** True if the record already has the end that this worker wrote: an answer that got lost. */
  async #readAgain(): Promise<boolean> {
    const { id } = this.record;
    const current = await this.#records.read(id);
    if (!current) {
      this.#stored = { record: this.record, etag: undefined };
      return false;
    }
    const { owner, attempt, state } = current.record;
    const mine = owner === this.owner;
    const untouched = owner === this.#before.owner && attempt === this.#before.attempt;
    if (!mine && (!untouched || hasEnded(state))) {
      this.#lost = true;
      throw new LockLostError(id);
    }
    this.#stored = current;
    return mine && (hasEnded(state) || attempt !== this.#before.attempt);
  }
}
