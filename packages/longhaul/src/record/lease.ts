/** A worker's claim on a job's record: every write is conditional, and a lost claim writes nothing. */
import { ConflictError, LockLostError, LonghaulError } from '../errors.ts';
import { hasEnded, type Instance, type JobRecord } from '../model/job-record.ts';
import type { Clock, Records, Removal, Stored } from '../ports.ts';
import { pause } from './pause.ts';
import { maxTries } from './retry-on-conflict.ts';

// Beside the tries of the SDK: what a handler did is not thrown away for a blip of a minute.
const againAfterMs = [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];

// The janitor leaves a record at least so long after its time.
const removedAfterMs = 60_000;

export interface Leasing {
  records: Records;
  removal: Pick<Removal, 'removed'>;
  clock: Clock;
}

export interface LeasedRun {
  /** When this run began, for a record that does not say so yet. */
  startedAt?: string;
  /** The broker's number of its message. */
  sequence?: string | undefined;
  here?: Instance;
}

export class Lease {
  readonly owner: string;
  readonly #records: Records;
  readonly #removal: Pick<Removal, 'removed'>;
  readonly #clock: Clock;
  readonly #begun: number;
  readonly #run: LeasedRun;
  #stored: Stored;
  /** Whose writes were seen when this claim began; anybody else's mean that it is lost. */
  readonly #before: { owner: string | undefined; turn: number };
  #writes = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #lost = false;
  #closed = false;
  #failure: unknown;
  /** Ends the run. */
  onFailure: (error: unknown) => void = () => undefined;

  /**
   * `run`: what goes with each write of a run that is under way.
   */
  constructor(
    { records, removal, clock }: Leasing,
    stored: Stored,
    owner: string,
    run: LeasedRun = {},
  ) {
    this.owner = owner;
    this.#run = run;
    this.#records = records;
    this.#removal = removal;
    this.#clock = clock;
    this.#begun = clock.now().getTime();
    this.#stored = stored;
    this.#before = { owner: stored.record.owner, turn: stored.record.turn };
  }

  get record(): JobRecord {
    return this.#stored.record;
  }

  /** In ms since 1970. */
  get now(): number {
    return this.#clock.now().getTime();
  }

  /** Nobody has written a record of the job yet. */
  get isNew(): boolean {
    return this.#stored.etag === undefined;
  }

  /** Why storage did not take something of this run, so that the run cannot be decided. */
  get failure(): unknown {
    return this.#failure;
  }

  /** The last write: what a handler that was given up says later is refused. @throws LockLostError */
  decide(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    const written = this.write(change);
    this.#closed = true;
    return written;
  }

  /** What comes from now on is refused. */
  close(): void {
    this.#closed = true;
  }

  /** Writes something of a run that is under way. @throws LockLostError */
  writeRunning(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    const { startedAt, sequence, here } = this.#run;
    return this.write((record) => ({
      ...(startedAt ? { startedAt } : {}),
      ...(here ? { version: here.version } : {}),
      ...change(record),
      ...(here ? { ranBy: here } : {}),
      ...(sequence === undefined ? {} : { sequence }),
      state: 'running',
    }));
  }

  /** Applies `change` to the newest record and writes it. @throws LockLostError */
  write(change: (record: JobRecord) => JobRecord): Promise<JobRecord> {
    if (this.#closed) return Promise.reject(new LockLostError(this.record.id));
    return this.#serialised(async () => {
      const writes = ++this.#writes;
      await this.#refuseIfRemoved();
      for (let tries = 1; ; tries++) {
        const next = { ...change(this.#stored.record), owner: this.owner, writes };
        try {
          this.#stored = await this.persist(() => this.#records.write(next, this.#stored.etag));
          return this.#stored.record;
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
          // It is no other writer that is in the way so often.
          if (tries === maxTries) throw this.#fail(error);
          await this.#readAgain((id) => this.persist(() => this.#records.read(id)));
          // An answer that got lost: the record has what this worker wrote.
          if (this.record.owner === this.owner && this.record.writes === writes) return this.record;
        }
      }
    });
  }

  /** Reads what others wrote: a cancel. @throws LockLostError */
  refresh(): Promise<JobRecord> {
    return this.#serialised(async () => {
      await this.#readAgain();
      return this.#stored.record;
    });
  }

  /**
   * Storage that fails at something of this run ends the run, whatever the handler makes of it. What has
   * a name of ours is a refusal, or the end of the attempt.
   */
  async guard<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof LonghaulError)) this.#fail(error);
      throw error;
    }
  }

  /** The same, tried again for about a minute: for what may be done twice. */
  persist<T>(act: () => Promise<T>): Promise<T> {
    return this.guard(async () => {
      for (const ms of againAfterMs) {
        try {
          return await act();
        } catch (error) {
          if (error instanceof LonghaulError) throw error;
        }
        await pause(this.#clock, ms);
      }
      return act();
    });
  }

  /** What the handler makes of it is not to be kept: in the next run the same may succeed. */
  #fail(error: unknown): unknown {
    this.#failure ??= error;
    this.onFailure(error);
    return error;
  }

  /** A worker that stood still for long must not write the record of a job that was removed since. */
  async #refuseIfRemoved(): Promise<void> {
    const { isNew, record } = this;
    if (!isNew || this.#clock.now().getTime() - this.#begun < removedAfterMs) return;
    if ((await this.#removal.removed(record.id)) !== undefined) this.#lose();
  }

  #serialised<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      if (this.#lost) throw new LockLostError(this.record.id);
      if (this.#failure !== undefined) throw this.#failure;
      return act();
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #readAgain(read = (id: string) => this.#records.read(id)): Promise<void> {
    const { id } = this.record;
    const current = await read(id);
    if (!current) {
      // Removed: the job has ended, and its time has passed.
      if (!this.isNew) this.#lose();
      return;
    }
    const { owner, turn, state } = current.record;
    const untouched = owner === this.#before.owner && turn === this.#before.turn;
    if (owner !== this.owner && (!untouched || hasEnded(state))) this.#lose();
    this.#stored = current;
  }

  #lose(): never {
    this.#lost = true;
    throw new LockLostError(this.record.id);
  }
}
