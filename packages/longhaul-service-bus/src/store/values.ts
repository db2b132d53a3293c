/**
 * Large values, one behind the other in files beside LevelDB, which would write their every byte to its
 * log, to a table and to the tables that this one is merged into. Here each is written once, before
 * LevelDB is told where it is: what LevelDB does not know of is as if it had never been written.
 */
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Where a value is. */
export interface Place {
  file: number;
  at: number;
  bytes: number;
  crc: number;
}

export const usualFileBytes = 32 * 1024 * 1024;
// Of one call: off the loop, and not more than the system takes in one.
const mostReadBytes = 8 * 1024 * 1024;
const mostReadValues = 512;
// Moved with one write, which waits for it.
const mostMovedBytes = 1024 * 1024;
const nameOf = (file: number) => `${String(file).padStart(6, '0')}.values`;
const pattern = /^(\d+)\.values$/;

interface ValueFile {
  number: number;
  handle: FileHandle;
  /** How far it is written. */
  end: number;
  live: number;
  places: Map<string, Place>;
}

/** A value as it was read: undefined when it is not what was written. */
export type ReadValue = [key: string, value: Buffer | undefined, place: Place];

export class ValueFiles {
  readonly #folder: string;
  readonly #fileBytes: number;
  readonly #files = new Map<number, ValueFile>();
  readonly #places = new Map<string, Place>();
  #next = 1;
  #current: ValueFile | undefined;
  /** Nobody waits for it but who closes all. */
  #removing: Promise<void> = Promise.resolve();

  private constructor(folder: string, fileBytes: number) {
    this.#folder = folder;
    this.#fileBytes = fileBytes;
  }

  /** `places` are all that LevelDB knows of: a file of which it knows nothing goes. */
  static async open(
    folder: string,
    places: Iterable<[key: string, place: Place]>,
    fileBytes: number,
  ): Promise<ValueFiles> {
    const values = new ValueFiles(folder, fileBytes);
    const wanted = [...places];
    const used = new Set(wanted.map(([, { file }]) => file));
    for (const name of await readdir(folder)) {
      const number = Number(pattern.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) continue;
      values.#next = Math.max(values.#next, number + 1);
      if (used.has(number)) await values.#open(number, 'r');
      else await rm(join(folder, name), { force: true });
    }
    for (const [key, place] of wanted) values.put(key, place);
    return values;
  }

  get(key: string): Place | undefined {
    return this.#places.get(key);
  }

  /** Answers where they are; nothing counts until `put`. */
  async append(values: readonly Buffer[]): Promise<Place[]> {
    if (values.length === 0) return [];
    this.#current ??= await this.#open(this.#next++, 'wx+');
    const file = this.#current;
    // What was written and does not count, as it failed, is written over.
    let at = file.end;
    const places = values.map((value) => {
      const place = { file: file.number, at, bytes: value.length, crc: crc32(value) };
      at += value.length;
      return place;
    });
    await writeAll(file.handle, values, file.end);
    file.end = at;
    if (at >= this.#fileBytes) this.#current = undefined;
    return places;
  }

  put(key: string, place: Place): void {
    const before = this.#forget(key);
    this.#places.set(key, place);
    const file = this.#files.get(place.file);
    file?.places.set(key, place);
    if (file) file.live += place.bytes;
    if (before) this.#removeIfUnused(before);
  }

  remove(key: string): void {
    const file = this.#forget(key);
    if (file) this.#removeIfUnused(file);
  }

  #forget(key: string): ValueFile | undefined {
    const place = this.#places.get(key);
    if (!place) return undefined;
    this.#places.delete(key);
    const file = this.#files.get(place.file);
    if (file?.places.delete(key)) file.live -= place.bytes;
    return file;
  }

  /**
   * When most of what is on disk is not used any more: some of the file of which the least is, to be
   * written again. It goes when it is empty.
   */
  async left(): Promise<[key: string, value: Buffer][]> {
    const sparse = this.#sparsest();
    if (!sparse || this.#removeIfUnused(sparse)) return [];
    const some: [string, Place][] = [];
    let bytes = 0;
    for (const [key, place] of sparse.places) {
      if (some.length > 0 && bytes + place.bytes > mostMovedBytes) break;
      some.push([key, place]);
      bytes += place.bytes;
    }
    const all: [string, Buffer][] = [];
    for await (const read of this.read(some))
      for (const [key, value] of read) {
        if (value) all.push([key, value]);
        // The next start tells of it.
        else this.#forget(key);
      }
    return all;
  }

  #sparsest(): ValueFile | undefined {
    const closed = [...this.#files.values()].filter((file) => file !== this.#current);
    // Each is open: even a small one counts.
    const sizeOf = ({ end }: ValueFile) => Math.max(end, this.#fileBytes / 32);
    const bytes = closed.reduce((sum, file) => sum + sizeOf(file), 0);
    const live = closed.reduce((sum, file) => sum + file.live, 0);
    if (bytes < 2 * this.#fileBytes + 4 * live) return undefined;
    const used = (file: ValueFile) => file.live / sizeOf(file);
    return closed.reduce((least, file) => (used(file) < used(least) ? file : least));
  }

  /** All whose keys begin so, in the order in which they were written. */
  startingWith(prefix: string): [key: string, place: Place][] {
    return [...this.#places]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([, a], [, b]) => a.file - b.file || a.at - b.at);
  }

  async *read(places: readonly [key: string, place: Place][]): AsyncGenerator<ReadValue[]> {
    const runs = runsOf(places);
    const more = () => {
      const run = runs.next().value;
      const some = run && this.#readRun(run);
      // Whoever stops reading does not hear of it.
      some?.catch(() => undefined);
      return some;
    };
    for (let next = more(); next; ) {
      const some = await next;
      next = more();
      yield some;
    }
  }

  async #readRun(run: readonly [key: string, place: Place][]): Promise<ReadValue[]> {
    const first = run[0]?.[1];
    const handle = first && this.#files.get(first.file)?.handle;
    const buffers = run.map(([, { bytes }]) => Buffer.allocUnsafeSlow(bytes));
    const found = handle ? (await handle.readv(buffers, first.at)).bytesRead : 0;
    return run.map(([key, place], n) => {
      const value = buffers[n] as Buffer;
      const isThere = place.at + place.bytes - (first?.at ?? 0) <= found;
      return [key, isThere && crc32(value) === place.crc ? value : undefined, place];
    });
  }

  async close(): Promise<void> {
    await this.#removing;
    for (const { handle } of this.#files.values()) await handle.close();
    this.#files.clear();
  }

  async #open(number: number, flags: string): Promise<ValueFile> {
    const handle = await open(join(this.#folder, nameOf(number)), flags);
    const { size: end } = await handle.stat();
    const file = { number, handle, end, live: 0, places: new Map() };
    this.#files.set(number, file);
    return file;
  }

  #removeIfUnused(file: ValueFile): boolean {
    if (file.places.size > 0 || file === this.#current) return false;
    this.#files.delete(file.number);
    const remove = async () => {
      await file.handle.close();
      await rm(join(this.#folder, nameOf(file.number)));
    };
    // One that stays goes at the next start.
    this.#removing = this.#removing.then(remove).catch(() => undefined);
    return true;
  }
}

async function writeAll(handle: FileHandle, values: readonly Buffer[], from: number) {
  for (let n = 0, at = from; n < values.length; n += mostReadValues) {
    const some = values.slice(n, n + mostReadValues);
    const bytes = some.reduce((sum, { length }) => sum + length, 0);
    const { bytesWritten } = await handle.writev(some, at);
    if (bytesWritten < bytes) throw new Error(`Of ${bytes} bytes ${bytesWritten} were written.`);
    at += bytes;
  }
}

/** Those that are one behind the other, as many as are read by one call. */
function* runsOf(places: readonly [key: string, place: Place][]) {
  let run: [string, Place][] = [];
  let bytes = 0;
  for (const each of places) {
    const last = run.at(-1)?.[1];
    const { file, at } = each[1];
    const follows = last?.file === file && last.at + last.bytes === at;
    if (last && (!follows || bytes >= mostReadBytes || run.length === mostReadValues)) {
      yield run;
      [run, bytes] = [[], 0];
    }
    run.push(each);
    bytes += each[1].bytes;
  }
  if (run.length > 0) yield run;
}
