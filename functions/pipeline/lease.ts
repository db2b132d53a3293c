/** A worker's claim on a job's record: every write is conditional, and a lost claim writes nothing. */
import { ConflictError, LockLostError } from '../errors.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import type { Records, Stored } from './ports.ts';

export class Lease {
  readonly owner: string;
  readonly #records: Records;
  readonly #startedAt: string | undefined;
  #stored: Stored;
  /** Whose writes were seen when this claim began; anybody else's mean that it is lost. */
  readonly #before: { owner: string | undefined; turn: number };
  #writes = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #lost = false;
  #closed = false;

  /** `startedAt`: when this run began, for a record that does not say so yet. */
  constructor(records: Records, stored: Stored, owner: string, startedAt?: string) {
    this.owner = owner;
    this.#startedAt = startedAt;
    this.#records = records;
    this.#stored = stored;
    this.#before = { owner: stored.record.owner, turn: stored.record.turn };
  }

  get record(): JobRecord {
    return this.#stored.record;
  }

  /** The last write: what a handler that was given up says later is refused. @throws LockLostError */
  decide(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    const written = this.write(change);
    this.#closed = true;
    return written;
  }

  /** Writes something of a run that is under way. @throws LockLostError */
  note(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    const began = this.#startedAt ? { startedAt: this.#startedAt } : {};
    return this.write((record) => ({ ...began, ...change(record), state: 'running' }));
  }

  /** Applies `change` to the newest record and writes it. @throws LockLostError */
  write(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    if (this.#closed) return Promise.reject(new LockLostError(this.record.id));
    return this.#inTurn(async () => {
      const writes = ++this.#writes;
      for (;;) {
        const next = { ...change(this.#stored.record), owner: this.owner, writes };
        try {
          this.#stored = await this.#records.write(next, this.#stored.etag);
          return this.#stored.record;
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
          await this.#readAgain();
          // An answer that got lost: the record has what this worker wrote.
          if (this.record.owner === this.owner && this.record.writes === writes) return this.record;
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

  async #readAgain(): Promise<void> {
    const { id } = this.record;
    const current = await this.#records.read(id);
    if (!current) {
      this.#stored = { record: this.record, etag: undefined };
      return;
    }
    const { owner, turn, state } = current.record;
    const untouched = owner === this.#before.owner && turn === this.#before.turn;
    if (owner !== this.owner && (!untouched || hasEnded(state))) {
      this.#lost = true;
      throw new LockLostError(id);
    }
    this.#stored = current;
  }
}
