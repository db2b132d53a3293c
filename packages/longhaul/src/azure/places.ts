/**
 * Which storage account keeps a job's record, tombstone and blobs. The id says when and in which shard it
 * was made, and so where: no record ever moves, and an account that is added takes what is made from
 * then on. Jobs whose id a sender chose, notes and schedules are in the main account.
 */
import { isId, madeIn, tableKeyOf } from '../model/id.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Blobs, RecordFilter, Records, Removal } from '../ports.ts';
import { grouped } from './grouped.ts';
import { badCursor } from './tables.ts';

/** What there is in each account, and what of it belongs to a partition. */
export interface Spread<T> {
  main: T;
  all: readonly T[];
  of(partition: string): T;
}

interface Places {
  from: number;
  accounts: readonly string[];
}

/** `make` is called once for each account. */
export function spread<T>(places: readonly Places[], make: (account: string) => T): Spread<T> {
  const names = new Set(['main', ...places.flatMap(({ accounts }) => accounts)]);
  const made = new Map([...names].map((name) => [name, make(name)]));
  const main = made.get('main') as T;
  return {
    main,
    all: [...made.values()],
    of(partition) {
      const origin = madeIn(partition);
      const { accounts } = places.findLast(({ from }) => origin && from <= origin.at) ?? {};
      const name = accounts?.[(origin?.shard ?? 0) % accounts.length] ?? 'main';
      return made.get(name) ?? main;
    },
  };
}

/** The same part of what there is in each. */
export function inEach<T, K extends keyof T>({ main, all, of }: Spread<T>, part: K): Spread<T[K]> {
  return {
    main: main[part],
    all: all.map((one) => one[part]),
    of: (partition) => of(partition)[part],
  };
}

const ofJob = <T>({ of }: Spread<T>, id: string): T => of(tableKeyOf(id).partition);

/** Lists of all accounts are one: ids of all sort by time. */
export interface ListedRecords extends Records {
  /** Those behind an id, in the order of places. */
  listAfter(filter: RecordFilter, limit: number, id: string | undefined): Promise<JobRecord[]>;
}

export function recordsOf(accounts: Spread<ListedRecords>): Records {
  if (accounts.all.length === 1) return accounts.main;
  return {
    read: (id) => ofJob(accounts, id).read(id),
    async readMany(ids) {
      const groups = grouped(ids, (id) => ofJob(accounts, id));
      const found = [...groups].map(([records, some]) => records.readMany(some));
      return (await Promise.all(found)).flat();
    },
    write: (record, etag) => ofJob(accounts, record.id).write(record, etag),
    async list(filter, limit, cursor) {
      const after = cursor === undefined ? undefined : idOf(cursor);
      const found = await Promise.all(
        accounts.all.map((records) => records.listAfter(filter, limit, after)),
      );
      const all = found.flat().sort(byPlace);
      const records = all.slice(0, limit);
      const last = records.at(-1);
      const isLast = all.length <= limit && found.every((some) => some.length < limit);
      return { records, cursor: last && !isLast ? cursorAt(last.id) : undefined };
    },
  };
}

const keyOf = ({ id }: JobRecord) => Object.values(tableKeyOf(id)).join(' ');
const byPlace = (a: JobRecord, b: JobRecord) => (keyOf(a) < keyOf(b) ? -1 : 1);

const cursorAt = (id: string) => Buffer.from(JSON.stringify({ after: id })).toString('base64url');

/** @throws BadRequestError */
function idOf(cursor: string): string {
  try {
    const { after } = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as {
      after?: unknown;
    };
    if (typeof after === 'string') return after;
  } catch {}
  throw badCursor();
}

export function removalOf(accounts: Spread<Removal>): Removal {
  return {
    expired: (partition, now) => accounts.of(partition).expired(partition, now),
    remove: (partition, records) => accounts.of(partition).remove(partition, records),
    removed: (id) => ofJob(accounts, id).removed(id),
    forget: (partition, before) => accounts.of(partition).forget(partition, before),
  };
}

/** The names of a job's blobs begin with its id; see `model/names.ts`. */
export function blobsOf(accounts: Spread<Blobs>): Blobs {
  const at = (name: string) => {
    const [, id = ''] = name.split('/');
    return isId(id) ? ofJob(accounts, id) : accounts.main;
  };
  return {
    write: (name, content, contentType) => at(name).write(name, content, contentType),
    read: (name) => at(name).read(name),
    append: (name, content, mostBytes) => at(name).append(name, content, mostBytes),
    readPart: (name, from, bytes) => at(name).readPart(name, from, bytes),
    remove: (name) => at(name).remove(name),
    removeAll: (prefix) => at(prefix).removeAll(prefix),
    readInbox: (name) => accounts.main.readInbox(name),
  };
}
