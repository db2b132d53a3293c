/**
 * Names made from a job's id: of its messages, its session, its blobs.
 *
 * An id of our own holds no separator. One that a sender chose may hold anything and be as long as a
 * MessageId may be (128 characters), so only its hash goes into a name: no two parts can meet, no name
 * becomes too long, and none leaves its folder.
 */
import { createHash } from 'node:crypto';
import { isId } from './id.ts';

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url');

const safe = (id: string): string => (isId(id) ? id : `~${hashOf(id)}`);

/** Whether an id reads like one of the app's messages about a job: no sender may choose it. */
export const isAboutJob = (id: string): boolean =>
  isId(id.slice(0, id.indexOf(':'))) || /^~[\w-]{43}(:|$)/.test(id);

/** Of its end, among those of one who asked: a key of storage and an event's id. Sorts by time. */
export const endOf = (id: string, finishedAt: string): string => `${finishedAt}_${safe(id)}`;

/** Where the API has it, in links and headers. */
export const pathOfJob = (id: string): string => `/api/jobs/${encodeURIComponent(id)}`;

/** Of a message about a job: the same for the same thing, so that the broker drops the second. */
export const messageIdOf = (id: string, ...what: (string | number)[]): string =>
  [safe(id), ...what].join(':');

// The host takes sessions in batches one after the other (extension 5.17): with one for each job a thousand
// jobs that wake at once would wait minutes for each other. More of these would make smaller batches.
const newsSessions = 16;

/** The session of the completions queue in which a job hears of what it waits for; others share it. */
export const sessionOfJob = (id: string): string =>
  `news:${createHash('sha256').update(id).digest().readUInt16BE() % newsSessions}`;

/** Schedules have their own; a name too long for a session shares one with its like. */
export const sessionOfSchedule = (id: string): string => `schedule:${id}`.slice(0, 128);

/** All blobs of a job, and of no other. */
export const folderOf = (id: string): string => `jobs/${safe(id)}/`;

export const inputBlob = (id: string): string => `${folderOf(id)}input.json`;

export const fileBlob = (id: string, name: string): string =>
  `${folderOf(id)}files/${encodeURIComponent(name)}`;

export const logBlob = (id: string): string => `${folderOf(id)}log.ndjson`;

/** `what` is made by us; `unique` tells apart what two writers keep at once. */
export const keptBlob = (id: string, what: string, unique: string): string =>
  `${folderOf(id)}${what}-${unique}.json`;
