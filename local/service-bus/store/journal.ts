/** One change of the store: `value` undefined removes the key. */
export interface Change {
  key: string;
  value: Buffer | undefined;
}

/** Where a broker keeps what it must not forget; see `disk.ts` and `memory.ts`. */
export interface Store {
  /** Every pair with this prefix, in the order of keys. */
  read(prefix: string): AsyncIterable<[key: string, value: Buffer]>;
  /** Applies all changes or none; resolves when they survive the process. */
  write(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Gathers changes and writes them in groups: while one group is being written the next fills up, so
 * that a thousand senders cost about as many writes as one.
 */
export class Journal {
  #pending = new Map<string, Buffer | undefined>();
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  set(key: string, value: Buffer | undefined): void {
    this.#pending.set(key, value);
    this.#schedule();
  }

  /** Resolves when every change made before this call is kept. */
  kept(): Promise<void> {
    return this.#next ?? this.#writing;
  }

  async close(): Promise<void> {
    await this.kept();
    await this.#store.close();
  }

  #schedule(): void {
    this.#next ??= this.#writing.then(async () => {
      // One more turn of the loop: what arrived in the same read of the socket joins this group.
      await new Promise((resolve) => setImmediate(resolve));
      const changes = [...this.#pending].map(([key, value]) => ({ key, value }));
      this.#pending = new Map();
      this.#writing = this.#next ?? Promise.resolve();
      this.#next = undefined;
      await this.#store.write(changes);
    });
    // Whoever waits for `kept` sees the failure; nobody may be waiting.
    this.#next.catch(() => undefined);
  }
}

const digits = (n: number) => n.toString().padStart(16, '0');

export interface Kept {
  meta: [sequence: number, value: Buffer][];
  bodies: Map<number, Buffer>;
  sessionStates: [id: string, state: Buffer][];
  duplicates: [key: number, value: { messageId: string; until: number }][];
  counter: number;
}

/** The keys of one entity. A body is written once; what changes about a message (lock, count) is small. */
export class EntityJournal {
  readonly #journal: Journal;
  readonly #prefix: string;

  constructor(journal: Journal, entity: string) {
    this.#journal = journal;
    this.#prefix = `${encodeURIComponent(entity)}/`;
  }

  putMessage(sequence: number, meta: Buffer, body?: Buffer): void {
    this.#set(`m/${digits(sequence)}`, meta);
    if (body) this.#set(`b/${digits(sequence)}`, body);
  }

  deleteMessage(sequence: number): void {
    this.#set(`m/${digits(sequence)}`, undefined);
    this.#set(`b/${digits(sequence)}`, undefined);
  }

  putSessionState(id: string, state: Buffer | undefined): void {
    this.#set(`s/${encodeURIComponent(id)}`, state);
  }

  putDuplicate(key: number, value: { messageId: string; until: number }): void {
    this.#set(`d/${digits(key)}`, Buffer.from(JSON.stringify(value)));
  }

  deleteDuplicate(key: number): void {
    this.#set(`d/${digits(key)}`, undefined);
  }

  /** Sequence numbers below `limit` may have been given out: after a restart begin there. */
  putCounter(limit: number | undefined): void {
    this.#set('c', limit === undefined ? undefined : Buffer.from(String(limit)));
  }

  kept(): Promise<void> {
    return this.#journal.kept();
  }

  async read(store: Store): Promise<Kept> {
    const kept: Kept = {
      meta: [],
      bodies: new Map(),
      sessionStates: [],
      duplicates: [],
      counter: 1,
    };
    for await (const [key, value] of store.read(this.#prefix)) {
      const [kind, name = ''] = key.slice(this.#prefix.length).split('/');
      if (kind === 'm') kept.meta.push([Number(name), value]);
      else if (kind === 'b') kept.bodies.set(Number(name), value);
      else if (kind === 's') kept.sessionStates.push([decodeURIComponent(name), value]);
      else if (kind === 'd') kept.duplicates.push([Number(name), JSON.parse(value.toString())]);
      else if (kind === 'c') kept.counter = Number(value.toString());
    }
    return kept;
  }

  #set(key: string, value: Buffer | undefined): void {
    this.#journal.set(this.#prefix + key, value);
  }
}
