/**
 * Azurite keeps its index in a LokiJS database in memory and saves it every five seconds: a SIGKILL
 * loses what it acknowledged since. Here every change is appended to a file before the answer goes
 * out, and the database is saved only when that file has grown large. Both are read at the start.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { beforeRemovingBatch, type Doc, findByKeys, type KeyedCollection } from './loki-keys.ts';

interface Collection extends KeyedCollection {
  name: string;
}

/** The parts of LokiJS used here; the package has no types. */
interface Loki {
  filename: string;
  collections: Collection[];
  addCollection(name: string, options?: unknown): Collection;
  removeCollection(name: string): void;
  saveDatabase(done?: (error?: Error) => void): void;
  loadDatabase(options: unknown, done?: (error?: Error) => void): void;
}
export type LokiClass = new (filename: string, options?: Record<string, unknown>) => Loki;

interface SavedCollection {
  name: string;
  data: Doc[];
  idIndex: number[];
  maxId: number;
}

type Change =
  | { put: string; doc: Doc }
  | { del: string; id: number }
  | { add: string; shape: SavedCollection }
  | { drop: string };

const saveBeyondBytes = 64 * 1024 * 1024;

/** A LokiJS whose file databases survive SIGKILL; memory databases are left alone. */
export function journaled(Base: LokiClass): LokiClass {
  return class JournaledLoki extends Base {
    readonly #file: ChangeFile | undefined;
    #recording = false;

    constructor(filename: string, options: Record<string, unknown> = {}) {
      if (options['persistenceMethod'] !== 'fs') {
        super(filename, options);
        return;
      }
      const file = new ChangeFile(filename);
      super(filename, { persistenceMethod: 'adapter', adapter: file, autosave: false });
      this.#file = file;
      this.#recording = true;
    }

    override loadDatabase(options: unknown, done?: (error?: Error) => void): void {
      this.#recording = false;
      super.loadDatabase(options, (error) => {
        this.#recording = this.#file !== undefined;
        for (const collection of this.collections) this.#watch(collection);
        done?.(error);
      });
    }

    override addCollection(name: string, options?: unknown): Collection {
      const isNew = !this.collections.some((collection) => collection.name === name);
      const collection = super.addCollection(name, options);
      if (isNew && this.#recording) {
        this.#append({ add: name, shape: JSON.parse(JSON.stringify(collection)) });
        this.#watch(collection);
      }
      return collection;
    }

    override removeCollection(name: string): void {
      super.removeCollection(name);
      if (this.#recording) this.#append({ drop: name });
    }

    #watch(collection: Collection): void {
      findByKeys(collection);
      this.#record(collection);
    }

    #record(collection: Collection): void {
      const { name } = collection;
      const put = (docs: Doc | Doc[]) => {
        for (const doc of [docs].flat()) this.#append({ put: name, doc });
      };
      const del = (docs: Doc | Doc[]) => {
        for (const { $loki } of [docs].flat()) this.#append({ del: name, id: $loki });
      };
      collection.on('insert', put);
      collection.on('update', put);
      collection.on('delete', del);
      beforeRemovingBatch(collection, del);
    }

    #append(change: Change): void {
      if (this.#file?.append(change) === 'large') this.saveDatabase();
    }
  };
}

/** LokiJS' persistence adapter: the saved database and the changes since. */
class ChangeFile {
  readonly #changes: string;
  #descriptor: number | undefined;
  #size = 0;

  constructor(database: string) {
    this.#changes = `${database}.changes`;
  }

  append(change: Change): 'small' | 'large' {
    this.#descriptor ??= openSync(this.#changes, 'a');
    this.#size += writeSync(this.#descriptor, `${JSON.stringify(change)}\n`);
    return this.#size > saveBeyondBytes ? 'large' : 'small';
  }

  loadDatabase(database: string, done: (saved: unknown) => void): void {
    const saved = existsSync(database) ? readFileSync(database, 'utf8') : '';
    const changes = existsSync(this.#changes) ? readFileSync(this.#changes, 'utf8') : '';
    this.#size = changes.length;
    if (!saved && !changes) done(null);
    else done(replay(saved ? JSON.parse(saved) : { collections: [] }, changes));
  }

  saveDatabase(database: string, serialized: string, done: (error?: Error) => void): void {
    const next = `${database}~`;
    writeFileSync(next, serialized);
    const descriptor = openSync(next, 'r');
    fsyncSync(descriptor);
    closeSync(descriptor);
    // Killed between these two the changes are replayed onto a database that has them: the same end.
    renameSync(next, database);
    if (existsSync(this.#changes)) truncateSync(this.#changes);
    this.#size = 0;
    done();
  }
}

function replay(database: { collections: SavedCollection[] }, changes: string): unknown {
  const docs = new Map<string, Map<number, Doc>>();
  for (const { name, data } of database.collections)
    docs.set(name, new Map(data.map((doc) => [doc.$loki, doc])));
  for (const line of changes.split('\n')) {
    const change = parse(line);
    // A torn last line was never acknowledged.
    if (!change) break;
    if ('put' in change) docs.get(change.put)?.set(change.doc.$loki, change.doc);
    else if ('del' in change) docs.get(change.del)?.delete(change.id);
    else if ('drop' in change) {
      docs.delete(change.drop);
      database.collections = database.collections.filter(({ name }) => name !== change.drop);
    } else if (!docs.has(change.add)) {
      docs.set(change.add, new Map());
      database.collections.push(change.shape);
    }
  }
  for (const collection of database.collections) {
    const found = [...(docs.get(collection.name)?.values() ?? [])].sort(
      (a, b) => a.$loki - b.$loki,
    );
    collection.data = found;
    collection.idIndex = found.map(({ $loki }) => $loki);
    collection.maxId = Math.max(collection.maxId, found.at(-1)?.$loki ?? 0);
  }
  // Below 1.5 LokiJS builds its indices anew instead of trusting the saved ones.
  return { ...database, databaseVersion: 1.4 };
}

function parse(line: string): Change | undefined {
  try {
    return JSON.parse(line) as Change;
  } catch {
    return undefined;
  }
}
