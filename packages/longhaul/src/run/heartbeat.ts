/** What a worker process says of itself now and then: that it lives, which lanes it serves, what it runs. */
import type { Clock, KeyValueStore, Log } from '../ports.ts';

/** A job that runs, and since when. */
export interface UnderWay {
  job: string;
  type: string;
  since: string;
}

export interface WorkerStatus {
  /** Of the process: made when it started. */
  id: string;
  app: string;
  version: string;
  instance: string;
  lanes: readonly string[];
  since: string;
  /** When it was heard of last. */
  at: string;
  places: number;
  /** How many jobs run, and the first hundred of them, the longest first. */
  running: number;
  jobs: UnderWay[];
}

const kind = 'worker';
const everyMs = 30_000;
/** Not heard of for so long, it is gone. */
export const silentMs = 100_000;
const jobsTold = 100;

type Known = Pick<WorkerStatus, 'id' | 'app' | 'version' | 'instance' | 'lanes' | 'places'>;

export class Heartbeat {
  readonly #known: Known;
  readonly #since: string;
  readonly #notes: KeyValueStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #running = new Set<UnderWay>();
  #stop: () => void = () => undefined;

  constructor(
    { notes, clock, log }: { notes: KeyValueStore; clock: Clock; log: Log },
    known: Known,
  ) {
    this.#known = known;
    this.#since = clock.now().toISOString();
    this.#notes = notes;
    this.#clock = clock;
    this.#log = log;
  }

  /** Notes a job that runs; to be called once it does not any more. */
  begin(job: string, type: string): () => void {
    const one = { job, type, since: this.#clock.now().toISOString() };
    this.#running.add(one);
    return () => void this.#running.delete(one);
  }

  /** Beats until it is stopped. */
  start(): void {
    void this.#beat();
    this.#stop = this.#clock.after(everyMs, () => this.start());
  }

  async stop(): Promise<void> {
    this.#stop();
    await this.#notes.remove(kind, this.#known.id).catch(() => undefined);
  }

  async #beat(): Promise<void> {
    const status: WorkerStatus = {
      ...this.#known,
      since: this.#since,
      at: this.#clock.now().toISOString(),
      running: this.#running.size,
      jobs: [...this.#running].slice(0, jobsTold),
    };
    try {
      await this.#notes.write(kind, this.#known.id, JSON.stringify(status));
    } catch (error) {
      // Nothing depends on it.
      this.#log('warn', `the heartbeat was not written: ${(error as Error).message}`);
    }
  }
}

type Asking = { notes: KeyValueStore; clock: Clock };

/** Those that were heard of lately. */
export async function workersHeardOf({ notes, clock }: Asking): Promise<WorkerStatus[]> {
  const all = await readAll(notes);
  return all.filter(({ at }) => clock.now().getTime() - Date.parse(at) < silentMs);
}

/** What those left that died. Called now and then. */
export async function forgetSilent({ notes, clock }: Asking): Promise<void> {
  for (const { id, at } of await readAll(notes))
    if (clock.now().getTime() - Date.parse(at) > 60 * silentMs) await notes.remove(kind, id);
}

const readAll = async (notes: KeyValueStore): Promise<WorkerStatus[]> =>
  (await notes.after(kind, '')).map(({ value }) => JSON.parse(value) as WorkerStatus);
