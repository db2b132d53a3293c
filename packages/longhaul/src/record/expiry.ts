/**
 * What is kept of a job is removed once its time has passed.
 *
 * A note for each partition and minute says that records of it expire then. So looking for them costs
 * what expires, however much is stored. The note is written before the record's end: killed between
 * the two, somebody looks in vain.
 */
import { tableKeyOf } from '../model/id.ts';
import type { EndedRecord } from '../model/job-record.ts';
import { folderOf } from '../model/names.ts';
import type { Blobs, Clock, KeyValueStore, Records, Removal } from '../ports.ts';
import { withdraw } from './announce.ts';
import { mapInChunks } from './map-in-chunks.ts';

const kind = 'expiry';
const tombstoneKind = 'expiry-tombstones';
const inputKind = 'expiry-inputs';

// As long as somebody may still ask what became of a job.
const tombstoneMs = 30 * 24 * 3_600_000;

const minuteMs = 60_000;
// A record may be written after the first look, by a worker that stood still or whose clock is behind.
const secondLookMs = 15 * minuteMs;
const lateMs = 5 * minuteMs;
const maxRemembered = 10_000;

const nameOf = (at: number, partition: string) =>
  `${new Date(Math.ceil(at / minuteMs) * minuteMs).toISOString()} ${partition}`;

/** Records that make a note of when they expire. */
export function withExpiry(records: Records, notes: KeyValueStore, clock: Clock): Records {
  const noted = new Set<string>();
  return {
    ...records,
    async write(record, etag) {
      if (!record.keepUntil) return records.write(record, etag);
      const until = Date.parse(record.keepUntil);
      const { partition } = tableKeyOf(record.id);
      const name = nameOf(until, partition);
      if (!noted.has(name)) await notes.write(kind, name, '');
      if (noted.size >= maxRemembered) noted.clear();
      noted.add(name);
      const written = await records.write(record, etag);
      // It stood still for so long that the janitor may have been by already.
      const now = clock.now().getTime();
      if (now > until + lateMs) await notes.write(kind, nameOf(now + lateMs, partition), '');
      return written;
    },
  };
}

/** Notes that this process has followed once. */
const looked = new Set<string>();

interface Expiring {
  records: Pick<Records, 'read'>;
  removal: Removal;
  notes: KeyValueStore;
  blobs: Blobs;
  clock: Clock;
}

/** Removes what has expired; answers how many jobs. Done twice, or by two at once, it does no harm. */
export async function removeExpired(app: Expiring): Promise<number> {
  const now = app.clock.now();
  const ago = (ms: number) => new Date(now.getTime() - ms).toISOString();
  const due = ago(minuteMs);
  const last = ago(secondLookMs);
  let removed = 0;
  for (const name of await app.notes.list(kind, due)) {
    const isLast = name < last;
    if (!isLast && looked.has(name)) continue;
    removed += await removeOf(app, partitionOf(name), now);
    if (isLast) await app.notes.remove(kind, name);
    if (looked.size >= maxRemembered) looked.clear();
    looked.add(name);
  }
  for (const name of await app.notes.list(tombstoneKind, due)) {
    await app.removal.forget(partitionOf(name), new Date(now.getTime() - tombstoneMs));
    await app.notes.remove(tombstoneKind, name);
  }
  for (const name of await app.notes.list(inputKind, due)) {
    const id = partitionOf(name);
    if (!(await app.records.read(id))) await app.blobs.removeAll(folderOf(id));
    await app.notes.remove(inputKind, name);
  }
  return removed;
}

// The queues' time to live, and a day more: what was sent has been taken or given up by then.
const unsentMs = 15 * 24 * 3_600_000;

/**
 * An input that is kept before its message is sent goes if the message never was. `runAt`: when the
 * message is to be taken.
 */
export async function noteInput(notes: KeyValueStore, id: string, runAt: Date): Promise<void> {
  const at = new Date(runAt.getTime() + unsentMs);
  await notes.write(inputKind, `${at.toISOString()} ${id}`, '');
}

const partitionOf = (name: string) => name.slice(name.indexOf(' ') + 1);

async function removeOf(app: Expiring, partition: string, now: Date): Promise<number> {
  const expired = await app.removal.expired(partition, now);
  if (expired.length > 0) await removeNow(app, partition, expired, now);
  return expired.length;
}

/** Records of a partition, with all that was kept for them; a tombstone each stays. */
export async function removeNow(
  app: Expiring,
  partition: string,
  records: readonly EndedRecord[],
  now = app.clock.now(),
): Promise<void> {
  await mapInChunks(records, atOnce, (record) => removeTraces(app, record));
  await app.notes.write(tombstoneKind, nameOf(now.getTime() + tombstoneMs, partition), '');
  await app.removal.remove(partition, records);
}

const atOnce = 20;

/** Its blobs, and what it claimed. */
async function removeTraces({ blobs, notes }: Expiring, record: EndedRecord): Promise<void> {
  const { id, claims } = record;
  await withdraw(notes, record);
  await blobs.removeAll(folderOf(id));
  for (const claim of claims?.split(' ') ?? []) {
    const [of = '', name = ''] = claim.split('/');
    await notes.remove(of, name, id);
  }
}
