import type { Clock } from '../clock.ts';
import type { Message } from '../entity/message.ts';
import { tell } from '../guarded.ts';
import { digits, Segments } from './segments.ts';

/** One change of the store: `value` undefined removes the key. */
export interface Change {
  key: string;
  value: Buffer | undefined;
}

/** Where a broker keeps what it must not forget; see `disk.ts` and `memory.ts`. */
export interface Store {
  /** Nothing written is ever read: it need not be made. */
  readonly isVolatile: boolean;
  /** Every pair with this prefix, many at a time; the small ones in the order of keys. */
  read(prefix: string): AsyncIterable<[key: string, value: Buffer][]>;
  /** Applies all changes or none; resolves when they survive the process. */
  write(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

type Pending = Buffer | undefined | (() => Buffer);

// Between two tries to write what could not be written.
const againMs = 1000;
// A delivery is written when it is one to two of these old: most are settled before.
const lateMs = 100;

/**
 * Gathers changes and writes them in groups: while one group is being written the next fills up, so
 * that a thousand senders cost about as many writes as one.
 *
 * What cannot be written is tried again until it can: nothing after it is told as kept, nothing more
 * is taken in or handed out meanwhile.
 */
export class Journal {
  /** What is made only when its group is written: of many changes to one message the last counts. */
  #pending = new Map<string, Pending>();
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stuck = false;
  #closing = false;
  #late = new Set<() => void>();
  #cancelLate: (() => void) | undefined;
  readonly #store: Store;
  readonly #clock: Clock;
  /** Told when writing works again. */
  recovered: () => void = () => undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  get isVolatile(): boolean {
    return this.#store.isVolatile;
  }

  get isStuck(): boolean {
    return this.#stuck;
  }

  set(key: string, value: Pending): void {
    if (this.#store.isVolatile) return;
    this.#pending.set(key, value);
    this.#schedule();
  }

  /** Resolves when every change made before this call is kept. */
  kept(): Promise<void> {
    return this.#next ?? this.#writing;
  }

  /** Calls back in a while, and before the journal closes; what is set then is kept as all else. */
  later(act: () => void): void {
    this.#late.add(act);
    this.#cancelLate ??= this.#clock.after(lateMs, () => this.#actLate());
  }

  #actLate(): void {
    this.#cancelLate = undefined;
    const all = this.#late;
    this.#late = new Set();
    for (const act of all) act();
  }

  async close(): Promise<void> {
    this.#closing = true;
    while (this.#cancelLate) {
      this.#cancelLate();
      this.#actLate();
    }
    try {
      await this.kept();
    } finally {
      await this.#store.close();
    }
  }

  #schedule(): void {
    // What came in one read of a socket is one group: it is being written while the loop reads on.
    this.#next ??= this.#writing.then(async () => {
      const pending = this.#pending;
      this.#pending = new Map();
      this.#writing = this.#next ?? Promise.resolve();
      this.#next = undefined;
      await this.#write([...pending].flatMap(toChange));
    });
    // Whoever waits for `kept` sees the failure; nobody may be waiting.
    this.#next.catch(() => undefined);
  }

  async #write(changes: readonly Change[]): Promise<void> {
    for (;;) {
      try {
        await this.#store.write(changes);
        if (this.#stuck) this.#goOn();
        return;
      } catch (fault) {
        if (this.#closing) throw fault;
        if (!this.#stuck) tell('The broker cannot write its data, and tries again')(fault);
        this.#stuck = true;
        await new Promise<void>((resolve) => this.#clock.after(againMs, resolve));
      }
    }
  }

  #goOn(): void {
    this.#stuck = false;
    this.recovered();
  }
}

/** One that cannot be made is left out: the others of its group are not to suffer for it. */
function toChange([key, value]: [string, Pending]): Change[] {
  try {
    return [{ key, value: typeof value === 'function' ? value() : value }];
  } catch (fault) {
    tell(`The broker cannot keep ${key}`)(fault);
    return [];
  }
}

export interface Kept {
  /** In the order of their numbers. */
  messages: Message[];
  sessionStates: [id: string, state: Buffer][];
  duplicates: [key: number, value: { messageId: string; until: number }][];
  counter: number;
  /** Of the numbers of messages that are or were there. */
  highest: number;
}

// Keys of the broker's own begin with what no name may begin with.
const encodeKey = (name: string) => encodeURIComponent(name).replaceAll('!', '%21');

/** The keys of one entity. */
export class EntityJournal {
  readonly #journal: Journal;
  readonly #name: string;
  readonly #prefix: string;
  readonly #segments: Segments;
  /** Handed over, and that not written yet; those of the last while, and those of the one before. */
  #delivered = new Set<Message>();
  #deliveredBefore = new Set<Message>();

  constructor(journal: Journal, entity: string) {
    this.#journal = journal;
    this.#name = entity;
    this.#prefix = `${encodeKey(entity)}/`;
    this.#segments = new Segments(
      (key, value) => this.#set(key, value),
      () => this.kept(),
    );
  }

  get isVolatile(): boolean {
    return this.#journal.isVolatile;
  }

  /** Nothing can be written now. */
  get isStuck(): boolean {
    return this.#journal.isStuck;
  }

  /**
   * `withBody`: at first, and when its bytes were changed. What changes later about a message (lock,
   * count) is small and stands beside it.
   */
  putMessage(message: Message, { withBody = false } = {}): void {
    if (this.#journal.isVolatile) return;
    this.#settled(message);
    if (withBody) this.#segments.put(message);
    else this.#segments.change(message);
  }

  /**
   * It was handed over, which is not written at once: nobody waits for it, and what is settled soon is
   * never written. After a kill meanwhile it is delivered again, uncounted.
   */
  putDelivery(message: Message): void {
    // With the message itself it is written anyway.
    if (this.#journal.isVolatile || message.wholeIn?.isWritten === false) return;
    this.#delivered.add(message);
    this.#journal.later(this.#writeDeliveries);
  }

  readonly #writeDeliveries = () => {
    for (const message of this.#deliveredBefore) this.#segments.change(message);
    this.#deliveredBefore = this.#delivered;
    this.#delivered = new Set();
    if (this.#deliveredBefore.size > 0) this.#journal.later(this.#writeDeliveries);
  };

  #settled(message: Message): void {
    if (!this.#delivered.delete(message)) this.#deliveredBefore.delete(message);
  }

  deleteMessage(message: Message): void {
    if (this.#journal.isVolatile) return;
    this.#settled(message);
    this.#segments.remove(message);
  }

  /** Keeps the bytes where they are not read again. */
  setAside(message: Message): void {
    const { sequence, content } = message;
    this.#set(`x/${digits(sequence)}`, content.bare);
    this.deleteMessage(message);
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
    const found: Found = {
      segments: new Map(),
      gone: new Map(),
      ...{ sessionStates: [], duplicates: [], counter: 1, highest: 0 },
    };
    for await (const some of store.read(this.#prefix))
      for (const [key, value] of some) take(found, key.slice(this.#prefix.length), value);
    const { segments, gone, ...kept } = found;
    const { messages, unread, highest } = this.#segments.read(segments, gone);
    for (const { sequence, bytes, fault } of unread) {
      this.#set(`x/${digits(sequence)}`, bytes);
      process.emitWarning(`Message ${sequence} of ${this.#name} was set aside: ${fault}`);
    }
    return { ...kept, messages, highest: Math.max(highest, kept.highest) };
  }

  #set(key: string, value: Buffer | undefined | (() => Buffer)): void {
    this.#journal.set(this.#prefix + key, value);
  }
}

/** As the keys of an entity were read. */
type Found = Omit<Kept, 'messages'> & {
  segments: Map<number, Buffer>;
  gone: Map<number, Buffer>;
};

function take(found: Found, key: string, value: Buffer): void {
  const name = key.slice(2);
  switch (key[0]) {
    case 'b':
      found.segments.set(Number(name), value);
      return;
    case 'g':
      found.gone.set(Number(name), value);
      return;
    case 'x':
      found.highest = Math.max(found.highest, Number(name));
      return;
    case 's':
      found.sessionStates.push([decodeURIComponent(name), value]);
      return;
    case 'd':
      found.duplicates.push([Number(name), JSON.parse(value.toString())]);
      return;
    case 'c':
      found.counter = Number(value.toString());
  }
}
