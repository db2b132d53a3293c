/**
 * A request becomes a job: checked, named, sent, recorded, in this order.
 *
 * The message goes first, because it is the truth: a worker that finds no record makes it from the
 * message. Killed between the two writes, the job runs all the same; before them, nobody was told
 * that it was accepted. There is never a record of a job that no message will run.
 */

import type { JobTypes, KnownType } from '../define/catalogue.ts';
import type { JobRequest, Requester, RequestOptions } from '../define/define-job.ts';
import { validate } from '../define/validate.ts';
import { BadRequestError, ConflictError, UnknownJobTypeError } from '../errors.ts';
import type { Notify } from '../fate/listeners.ts';
import { toMs } from '../model/duration.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { type JobMessage, toMessage } from '../model/message.ts';
import { type Lane, laneOf, type Topology } from '../model/topology.ts';
import type { Blobs, Clock, KeyValueStore, Queue, Records, Removal, Stored } from '../ports.ts';
import { keptBody, toBody } from '../record/claim-check.ts';
import { noteInput } from '../record/expiry.ts';
import { keyOf, type SessionAllocator, sessionFor, sessionOfSlot } from './key.ts';
import { checkSender } from './sender.ts';
import { tagsOf } from './tags.ts';
import { claimUnique, uniqueClaim, uniqueName } from './unique.ts';

export interface Submitting {
  types: JobTypes;
  topology: Topology;
  records: Records;
  removal: Removal;
  queue: Queue;
  blobs: Blobs;
  clock: Clock;
  notes: KeyValueStore;
  newId(at: Date): string;
  slots: SessionAllocator;
  notify: Notify;
  /** @throws BadRequestError for an address that is not called */
  checkCallback(url: string): void;
}

/** What only the system says of a request: an occurrence's id, who stands behind it. */
export interface Origin extends Requester {
  id?: string;
  scheduledFor?: Date;
  /** Which child of its parent it is, and who is above the parent. */
  place?: string;
  above?: string;
  /** A note that is to go with the job. */
  claim?: string;
  /** For a type that has no key of its own. */
  key?: string;
  /** The line in which it stands among its siblings, when only some of them run at once. */
  line?: { key: string; slot: number };
  /** Its message may meet that of another with the same id: what the record says is then its word. */
  provisional?: boolean;
  /** One of Longhaul's own types, which no request may name. */
  own?: true;
  /** Sends when it is its turn among those that came with it. */
  inTurn?: (send: () => Promise<void>) => Promise<void>;
}

/** @throws UnknownJobTypeError, InvalidInputError, BadRequestError */
export async function check(app: Submitting, request: JobRequest, origin: Origin = {}) {
  const known = origin.own ? app.types.find(request.type) : app.types.findOpen(request.type);
  if (!known) throw new UnknownJobTypeError(request.type, app.types.names);
  const input = await validate(known.definition.input, request.input, 'The input');
  const { options = {} } = request;
  const now = app.clock.now();
  checkReplyTo(app.topology, options);
  if (options.callback) app.checkCallback(options.callback.url);
  const requester = { ...options, ...origin };
  const key = keyOf(known, input, requester, origin.key);
  if (key !== undefined && origin.line)
    throw new BadRequestError(
      `Job type '${request.type}' has a key of its own, which says how many run at once: send its jobs without a limit.`,
    );
  const lane = chosenLane(known, options);
  // A child is the answer to its parent alone.
  const unique = origin.place === undefined ? uniqueName(known, input, requester) : undefined;
  const tags = tagsOf(known, input, requester, options.tags);
  return { known, options, now, key, lane, unique, tags, runAt: dueTime(options, now) };
}

/** `deduplicated`: an equal job was there already, and this is its record. */
export interface Submitted {
  record: JobRecord;
  deduplicated: boolean;
}

/**
 * Accepts a request: when this resolves, the job will run.
 * @throws what `check` throws: then nothing has changed.
 */
export async function submit(
  app: Submitting,
  request: JobRequest,
  origin: Origin = {},
): Promise<Submitted> {
  return accept(app, request, await check(app, request, origin), origin);
}

/** Takes in a request that was checked, unless an equal job stands for it. */
export async function accept(
  app: Submitting,
  request: JobRequest,
  checked: Checked,
  origin: Origin = {},
): Promise<Submitted> {
  const { known, now, unique } = checked;
  const newId = origin.id ?? newIdFor(app, checked);
  if (unique === undefined)
    return { record: await send(app, request, checked, origin, newId), deduplicated: false };
  const { id, standing } = await claimUnique(app, known, unique, newId, now);
  const deduplicated = id !== newId;
  if (standing) return { record: standing, deduplicated };
  // Who claimed it may have sent its own message, with its own reply: the broker takes the first.
  const provisional = deduplicated;
  return {
    record: await send(app, request, checked, { ...origin, provisional }, id),
    deduplicated,
  };
}

/** An id for a request that was checked. */
export const newIdFor = ({ newId, slots }: Submitting, { known, now, key }: Checked): string =>
  slots.idFor(newId(now), key, known.policy.limit);

type Checked = Awaited<ReturnType<typeof check>>;

async function send(
  app: Submitting,
  request: JobRequest,
  { known, options, now, key, lane, unique, tags, runAt }: Checked,
  origin: Origin,
  id: string,
): Promise<JobRecord> {
  const { line } = origin;
  const message = {
    id,
    // Under its present name, whichever it was asked for by.
    type: known.definition.type,
    attempt: 1,
    turn: 1,
    queue: key === undefined && !line ? lane.plain : lane.keyed,
    ...(line ? sessionOfSlot(line.key, line.slot) : sessionFor(key, known.policy.limit, id)),
    ...(await toBody(app.blobs, id, request.input, () => noteInput(app.notes, id, runAt ?? now))),
    createdAt: now.toISOString(),
    ...tags,
    ...claimsOf(unique && uniqueClaim(unique), origin.claim),
    ...startBefore(known, options, runAt ?? now),
    ...replying(options),
    ...asking({ ...options, ...origin }),
    ...(origin.place === undefined ? {} : { place: origin.place }),
    ...(origin.above ? { above: origin.above } : {}),
    ...(origin.scheduledFor ? { scheduledFor: origin.scheduledFor.toISOString() } : {}),
  };
  const { inTurn = (act: () => Promise<void>) => act() } = origin;
  await inTurn(() => app.queue.send(toMessage(message, runAt)));
  const record = {
    ...newRecord(message, lane.name, known, runAt),
    ...(origin.provisional ? { provisional: true as const } : {}),
  };
  await recordOnce(app.records, record);
  app.notify('enqueued', record);
  return record;
}

/** A worker that was faster has written it already, and knows more. */
async function recordOnce(records: Records, record: JobRecord): Promise<void> {
  try {
    await records.write(record, undefined);
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}

/**
 * The record of a job, or the one that follows from its message when there is none yet; undefined for
 * a job that has ended so long ago that its record was removed, or whose message went on elsewhere.
 * @throws BadMessageError for one that nobody but the app may send
 */
export async function readOrMake(
  { records, removal, types, topology, clock }: Submitting,
  message: JobMessage,
): Promise<Stored | undefined> {
  const stored = await records.read(message.id);
  const sender = checkSender(message, stored?.record, types, topology);
  if (sender === 'moved') return undefined;
  const isUntaken = stored?.record.untaken && !hasEnded(stored.record.state);
  if (stored && !stored.record.provisional && !isUntaken) return stored;
  if (!stored && (await removal.removed(message.id))) return undefined;
  const made = { ...fromMessageAlone({ types, topology, clock }, message), ...untaken(message) };
  if (!stored) return { record: made, etag: undefined };
  // The message says more of it: it may have been moved since.
  const record = isUntaken
    ? { ...withoutMark(stored.record), ...made }
    : completed(stored.record, made);
  return { record, etag: stored.etag };
}

/** Once it is taken in. */
export const withoutMark = ({ untaken: _, ...record }: JobRecord): JobRecord => record;

const untaken = ({ isForeign }: JobMessage) => (isForeign ? { untaken: true as const } : {});

/** What the record of a job would say that has not started. */
export function fromMessageAlone(
  { types, topology, clock }: Pick<Submitting, 'types' | 'topology' | 'clock'>,
  message: JobMessage,
): JobRecord {
  const lane = laneOf(topology, message.queue);
  const createdAt = message.createdAt ?? (message.enqueuedAt ?? clock.now()).toISOString();
  const known = types.find(message.type);
  const type = known?.definition.type ?? message.type;
  return newRecord({ ...message, type, createdAt }, lane?.name ?? '', known);
}

/** A provisional record, with what its message says of who asked. */
function completed(record: JobRecord, made: JobRecord): JobRecord {
  const {
    provisional: _p,
    replyTo: _r,
    replyToSessionId: _s,
    correlationId: _c,
    ...known
  } = record;
  const { callback: _b, requestedBy: _q, claims: _l, input: _i, tags: _t, ...own } = known;
  const { replyTo, replyToSessionId, correlationId, callback, requestedBy, claims } = made;
  const { foreign, input, tags } = made;
  const back = { replyTo, replyToSessionId, correlationId, callback };
  const told = { ...back, requestedBy, claims, foreign, input, tags };
  const given = Object.entries(told).filter(([, value]) => value !== undefined);
  return { ...own, ...Object.fromEntries(given) };
}

/** The record of a job that has not started, from its message alone. */
function newRecord(
  message: JobMessage & { createdAt: string },
  lane: string,
  known: KnownType | undefined,
  runAt?: Date,
): JobRecord {
  const { id, type, queue, key, attempt, turn, createdAt, ...rest } = message;
  const { traceparent: _t, body, contentType, enqueuedAt: _e, ...given } = rest;
  const { isForeign, ...carried } = given;
  const { policy: { keep } = {}, definition: { keepInput = true } = {} } = known ?? {};
  // What a stranger sent may be anything: it is kept once somebody has read it.
  const input = keepInput && !isForeign ? keptBody({ body, contentType }) : undefined;
  return {
    id,
    type,
    state: runAt ? 'scheduled' : 'queued',
    lane,
    queue,
    ...(key === undefined ? {} : { key }),
    createdAt,
    attempt,
    turn,
    ...(keep ? { keep } : {}),
    ...(keepInput ? {} : { unkept: true as const }),
    ...(input ? { input } : {}),
    ...(runAt ? { runAt: runAt.toISOString() } : {}),
    ...carried,
  };
}

function chosenLane({ policy }: KnownType, { priority }: RequestOptions): Lane {
  if (priority === undefined || priority === policy.lane.name) return policy.lane;
  const lane = policy.priorities.find(({ name }) => name === priority);
  if (lane) return lane;
  const allowed = [policy.lane, ...policy.priorities].map(({ name }) => name).join(', ');
  throw new BadRequestError(`A job of this type has no priority '${priority}'.`, [
    { pointer: '/priority', message: `is none of ${allowed}` },
  ]);
}

function dueTime({ delay, runAt }: RequestOptions, now: Date): Date | undefined {
  if (delay !== undefined && runAt !== undefined)
    throw new BadRequestError('Give delay or runAt, not both.', [
      { pointer: '/delay', message: 'stands beside runAt' },
    ]);
  const at = delay === undefined ? runAt : new Date(now.getTime() + toMs(delay));
  return at && at > now ? at : undefined;
}

export function startBefore(known: KnownType, options: RequestOptions, from: Date) {
  const limit = options.startBefore ?? known.definition.startBefore;
  if (limit === undefined) return {};
  return { startBefore: new Date(from.getTime() + toMs(limit)).toISOString() };
}

function checkReplyTo(topology: Topology, { replyTo, replyToSessionId }: RequestOptions): void {
  const { replies, queues } = topology;
  if (replyTo === undefined) return;
  const needsSession = queues.some(
    ({ name, requiresSession }) => name === replyTo && requiresSession,
  );
  if (needsSession && replyToSessionId === undefined)
    throw new BadRequestError(`The reply queue '${replyTo}' takes replies by session.`, [
      { pointer: '/replyToSessionId', message: `is missing: name the session to reply to` },
    ]);
  if (replies.includes(replyTo)) return;
  throw new BadRequestError(`There is no reply queue '${replyTo}'.`, [
    { pointer: '/replyTo', message: `is none of ${replies.join(', ')}` },
  ]);
}

export function claimsOf(...claims: (string | undefined)[]) {
  const made = claims.filter((claim) => claim !== undefined);
  return made.length > 0 ? { claims: made.join(' ') } : {};
}

const replying = ({ replyTo, replyToSessionId, correlationId, callback }: RequestOptions) => ({
  ...(replyTo ? { replyTo } : {}),
  ...(replyToSessionId ? { replyToSessionId } : {}),
  ...(correlationId ? { correlationId } : {}),
  ...(callback ? { callback: callback.url } : {}),
});

const asking = ({ requestedBy, parent, schedule }: Requester) => ({
  ...(requestedBy ? { requestedBy } : {}),
  ...(parent ? { parent } : {}),
  ...(schedule ? { schedule } : {}),
});
