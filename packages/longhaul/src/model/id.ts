/**
 * Job ids carry the partition of their record, so that one point read finds it.
 *
 * An id is 10 characters of partition and 14 of row, in Crockford's base 32. Both begin with time
 * counted backwards: Table storage sorts by key, so that a plain scan lists the newest job first.
 * Jobs that one process takes in within ten seconds share a partition, and so a group commit; another
 * process has another shard, so that no partition grows hot.
 */
import { createHash } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const bucketMs = 10_000;
const bucketChars = 7;
const shardChars = 3;
const withinChars = 3;
const randomChars = 11;
const partitionChars = bucketChars + shardChars;

const pattern = new RegExp(`^[${alphabet}]{${partitionChars + withinChars + randomChars}}$`);

function base32(value: number, chars: number): string {
  let text = '';
  for (let rest = value; text.length < chars; rest = Math.floor(rest / 32))
    text = alphabet[rest % 32] + text;
  return text;
}

const textOf = (bytes: Uint8Array) => [...bytes].map((byte) => alphabet[byte % 32]).join('');

/** `at`: milliseconds since the epoch; `shard` 3 and `random` 11 bytes or more. */
function idAt(at: number, shard: Uint8Array, random: Uint8Array): string {
  const bucket = 32 ** bucketChars - 1 - Math.floor(at / bucketMs);
  const within = 32 ** withinChars - 1 - (at % bucketMs);
  return (
    base32(bucket, bucketChars) +
    textOf(shard.subarray(0, shardChars)) +
    base32(within, withinChars) +
    textOf(random.subarray(0, randomChars))
  );
}

/** Makes ids for one process. */
export function createIdMaker(randomBytes: (size: number) => Uint8Array) {
  const shard = randomBytes(shardChars);
  return (at: Date): string => idAt(at.getTime(), shard, randomBytes(randomChars));
}

// Few enough that what is due at one moment shares transactions, enough that no partition grows hot.
const occurrenceShards = 16;

/** The same id for the same occurrence of a schedule, whoever makes it; with its salt nobody else can. */
export function idOfOccurrence(schedule: string, at: Date, salt = ''): string {
  const hash = createHash('sha256').update(`${schedule}\n${at.toISOString()}${salt}`).digest();
  const shard = Uint8Array.of(0, 0, (hash[0] ?? 0) % occurrenceShards);
  return idAt(at.getTime(), shard, hash.subarray(8));
}

// As many children share a partition, and so their writes a transaction.
const siblings = 1000;

/** The same id for the same child of a group, however often its parent is run. */
export function idOfChild(
  parent: string,
  name: string,
  { at, turn, salt = '' }: { at: string; turn?: number; salt?: string },
  index: number,
): string {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  const group = `${parent}\n${name}\n${turn ?? ''}${salt}`;
  const shard = hash(`${group}\n${Math.floor(index / siblings)}`);
  return idAt(Date.parse(at), shard, hash(`${group}\n${index}\n`));
}

const tailChars = 2;
const tails = 32 ** tailChars;

/** Which of `count` (1024 at most) parts a job belongs to; it follows from its id alone. */
export function slotOf(id: string, count: number): number {
  if (!isId(id)) return createHash('sha256').update(id).digest().readUInt16BE() % count;
  const [high = '', low = ''] = id.slice(-tailChars);
  return (alphabet.indexOf(high) * 32 + alphabet.indexOf(low)) % count;
}

/** The id, its end changed so that it belongs to part `slot` of `count`; `random` in [0, 1). */
export function inSlot(id: string, slot: number, count: number, random: number): string {
  const rounds = Math.floor((tails - 1 - slot) / count) + 1;
  const tail = slot + count * Math.floor(random * rounds);
  return id.slice(0, -tailChars) + base32(tail, tailChars);
}

/** Partitions of the ids that were made from one time on and before another: from the first, before the second. */
export function partitionsBetween(from?: Date, to?: Date): { first?: string; before?: string } {
  const bucketOf = (at: Date) => 32 ** bucketChars - 1 - Math.floor(at.getTime() / bucketMs);
  return {
    ...(to ? { first: base32(bucketOf(to), bucketChars) } : {}),
    ...(from ? { before: base32(bucketOf(from) + 1, bucketChars) } : {}),
  };
}

/** When, to ten seconds, and in which shard the ids of a partition were made; not of ids of others. */
export function madeIn(partition: string): { at: number; shard: number } | undefined {
  if (partition.length !== partitionChars || partition.startsWith('~')) return undefined;
  const numberOf = (text: string) =>
    [...text].reduce((sum, char) => sum * 32 + alphabet.indexOf(char), 0);
  const bucket = numberOf(partition.slice(0, bucketChars));
  return {
    at: (32 ** bucketChars - 1 - bucket) * bucketMs,
    shard: numberOf(partition.slice(bucketChars)),
  };
}

export const isId = (text: string): boolean => pattern.test(text);

/** Where the record of a job is. Ids that others made (a message may name its own) get a hash. */
export function tableKeyOf(id: string): { partition: string; row: string } {
  if (isId(id)) return { partition: id.slice(0, partitionChars), row: id.slice(partitionChars) };
  const hash = createHash('sha256').update(id).digest();
  return { partition: `~${textOf(hash.subarray(0, 3))}`, row: hash.toString('hex') };
}
