import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { Reader, Writer } from './binary.ts';
import type { Change, Store } from './journal.ts';
import { type Place, usualFileBytes, ValueFiles } from './values.ts';

const format = '4';
// Of which all that there is means the same.
const readable = ['3', format];
// As a value in a file of its own saves work, and costs one more write in a row.
const largeBytes = 8 * 1024;
/** The key of a value that is in a file: what stands there is where. */
const placeKey = (key: string) => `!value/${key}`;
const readAtOnce = 10_000;
// Of one reading; with the default of 16 KB a million messages take a minute.
const highWaterMarkBytes = 8 * 1024 * 1024;
// Most messages are gone before a table is written: the more the log holds, the fewer tables there are.
const writeBufferSize = 32 * 1024 * 1024;

/**
 * Keeps the broker in a LevelDB folder, and large values in files beside it. A write is in the operating
 * system's hands before it resolves, so it survives SIGKILL of this process; LevelDB cuts a torn tail of
 * its log by itself.
 */
export async function openDiskStore(folder: string, fileBytes = usualFileBytes): Promise<Store> {
  const db = await open(folder);
  try {
    await tellOfDrops(folder);
    await checkFormat(db, folder);
    return new DiskStore(folder, db, await openValues(db, folder, fileBytes));
  } catch (fault) {
    await db.close();
    throw fault;
  }
}

type Db = ClassicLevel<string, Buffer>;
type Operation = { type: 'put'; key: string; value: Buffer } | { type: 'del'; key: string };

class DiskStore implements Store {
  readonly isVolatile = false;
  readonly #folder: string;
  readonly #values: ValueFiles;
  #db: Db;
  #isBroken = false;

  constructor(folder: string, db: Db, values: ValueFiles) {
    this.#folder = folder;
    this.#db = db;
    this.#values = values;
  }

  async *read(prefix: string): AsyncGenerator<[string, Buffer][]> {
    yield* readAll(this.#db, prefix);
    for await (const some of this.#values.read(this.#values.startingWith(prefix)))
      yield some.flatMap(([key, value, place]) => {
        if (value) return [[key, value] as [string, Buffer]];
        tellOfLoss(this.#folder, place.bytes, `${key} cannot be read`);
        return [];
      });
  }

  async write(changes: readonly Change[]): Promise<void> {
    if (this.#isBroken) await this.#reopen();
    const left = await this.#values.left();
    // Of one key the last counts.
    const last = new Map(left as [string, Buffer | undefined][]);
    for (const { key, value } of changes) last.set(key, value);
    const all = [...last].map(([key, value]): Change => ({ key, value }));
    const large = all.filter(isLarge);
    const places = await this.#values.append(large.map(({ value }) => value));
    const placeOf = new Map(large.map((change, n) => [change as Change, places[n] as Place]));
    try {
      await this.#db.batch(all.flatMap((change) => this.#operations(change, placeOf.get(change))));
    } catch (fault) {
      this.#isBroken = true;
      throw fault;
    }
    for (const change of all) {
      const place = placeOf.get(change);
      if (place) this.#values.put(change.key, place);
      else this.#values.remove(change.key);
    }
  }

  /** Of what stood there before in the other way nothing stays. */
  #operations({ key, value }: Change, place: Place | undefined): Operation[] {
    const del = (of: string): Operation => ({ type: 'del', key: of });
    if (place) return [del(key), { type: 'put', key: placeKey(key), value: writePlace(place) }];
    const before = this.#values.get(key) ? [del(placeKey(key))] : [];
    return [...before, value ? { type: 'put', key, value } : del(key)];
  }

  /** LevelDB does not go on behind a record that it wrote in part; opened again it does. */
  async #reopen(): Promise<void> {
    await this.#db.close().catch(() => undefined);
    this.#db = await open(this.#folder);
    this.#isBroken = false;
  }

  async close(): Promise<void> {
    await this.#values.close();
    await this.#db.close();
  }
}

const isLarge = (change: Change): change is Change & { value: Buffer } =>
  change.value !== undefined && change.value.length >= largeBytes;

async function* readAll(db: Db, prefix: string): AsyncGenerator<[string, Buffer][]> {
  const range = { gte: prefix, lt: `${prefix}\uffff` };
  const iterator = db.iterator({ ...range, highWaterMarkBytes });
  const more = () => {
    const some = iterator.nextv(readAtOnce);
    // Whoever stops reading does not hear of it.
    some.catch(() => undefined);
    return some;
  };
  try {
    // LevelDB reads on in its thread while these are dealt with.
    for (let next = more(); ; ) {
      const some = await next;
      if (some.length === 0) return;
      next = more();
      yield some;
    }
  } finally {
    await iterator.close();
  }
}

// --- where values are -----------------------------------------------------------------------------

const to = new Writer();

function writePlace({ file, at, bytes, crc }: Place): Buffer {
  for (const number of [file, at, bytes, crc]) to.number(number);
  return to.end();
}

function readPlace(bytes: Buffer): Place {
  const from = new Reader(bytes);
  return { file: from.number(), at: from.number(), bytes: from.number(), crc: from.number() };
}

async function openValues(db: Db, folder: string, fileBytes: number): Promise<ValueFiles> {
  const places: [string, Place][] = [];
  const from = placeKey('');
  for await (const some of readAll(db, from))
    for (const [key, bytes] of some) places.push([key.slice(from.length), readPlace(bytes)]);
  return ValueFiles.open(folder, places, fileBytes);
}

// --- opening --------------------------------------------------------------------------------------

// The keys of `journal.ts` and `namespace.ts`: the format itself may be what was damaged.
const ours = /^(!entity\/|!value\/|[^/]+\/(c$|[bgsdx]\/))/;

/** A folder is ours, or new: somebody else's is not to be written to. */
async function checkFormat(db: Db, folder: string): Promise<void> {
  const found = (await db.get('!format'))?.toString();
  if (found === format) return;
  if (found !== undefined && !readable.includes(found))
    throw new Error(
      `The broker's data in ${folder} has format ${found}, this version reads ${format}: move the folder away to begin anew.`,
    );
  const some = found === undefined ? await db.keys({ limit: 100 }).all() : [];
  if (!some.every((key) => ours.test(key)))
    throw new Error(
      `The folder ${folder} holds a LevelDB that is not the broker's: name another folder.`,
    );
  await db.put('!format', Buffer.from(format));
}

/** Makes the index anew when it is damaged. @throws Error when the folder cannot be used */
async function open(folder: string): Promise<Db> {
  for (let repaired = false; ; repaired = true) {
    const db = new ClassicLevel<string, Buffer>(folder, {
      valueEncoding: 'buffer',
      writeBufferSize,
    });
    try {
      await db.open();
      return db;
    } catch (cause) {
      const { code, message } =
        (cause as { cause?: { code?: string; message?: string } }).cause ?? {};
      if (code === 'LEVEL_LOCKED')
        throw new Error(
          `Another process uses the data in ${folder}: end it, or give this one a folder of its own.`,
          { cause },
        );
      if (code !== 'LEVEL_CORRUPTION' || repaired)
        throw new Error(`Cannot open the broker's data in ${folder}: ${message}`, { cause });
      process.emitWarning(`The broker's data in ${folder} is damaged (${message}): repairing it.`);
      await ClassicLevel.repair(folder);
    }
  }
}

/** LevelDB reads past what is damaged in its log, and says so in a file. */
async function tellOfDrops(folder: string): Promise<void> {
  const log = await readFile(join(folder, 'LOG'), 'utf8').catch(() => '');
  for (const [, bytes, why] of log.matchAll(/dropping (\d+) bytes; (.*)/g))
    tellOfLoss(folder, Number(bytes), why ?? '');
}

const tellOfLoss = (folder: string, bytes: number, why: string) =>
  process.emitWarning(`The broker's data in ${folder} lost ${bytes} bytes: ${why}.`);
