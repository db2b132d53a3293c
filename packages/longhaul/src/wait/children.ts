/** The children of a job: sent out under ids that follow from the parent, read when they have ended. */
import { createHash } from 'node:crypto';
import { type Submitting, submit } from '../admit/submit.ts';
import type { JobRequest, Settled } from '../define/define-job.ts';
import { toJson } from '../define/json.ts';
import { ChildFailedError, isRefusal, NonRetryableError, StepChangedError } from '../errors.ts';
import { groupNamed } from '../fate/waiting.ts';
import type { Run } from '../handler/run.ts';
import { idOfChild } from '../model/id.ts';
import type { ChildGroup, JobRecord } from '../model/job-record.ts';
import { fromPlace, placeOfChild } from '../model/job-signal.ts';
import { loadJson } from '../record/claim-check.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';

/** A tree of any use has a few levels; one that calls itself has no end. */
const maxDepth = 20;
/** So many requests fit in the parent's record, a bit for each. */
const maxChildren = 50_000;
const atOnce = 500;

/**
 * The group of that name, on record before the first of its children is sent, together with all that
 * the handler was told before it.
 */
export async function beginGroup(
  { app: { clock, newId }, lease, checkpoint }: Pick<Run, 'app' | 'lease' | 'checkpoint'>,
  name: string,
  count: number,
  settled: boolean,
): Promise<ChildGroup> {
  if (count > maxChildren)
    throw new NonRetryableError(
      `'${name}' has ${count} children, and ${maxChildren} is the most: give each a part of the work, or send them in several groups.`,
    );
  const begun = groupNamed(lease.record, name);
  if (begun && begun.of !== count)
    throw new StepChangedError(`'${name}' had ${begun.of} children and has ${count} now`);
  if (begun) return begun;
  const now = clock.now();
  const { turn } = lease.record;
  const group = {
    of: count,
    at: now.toISOString(),
    turn,
    salt: newId(now),
    ...(settled ? { settled } : {}),
    ended: '',
    done: 0,
    failed: [],
  };
  await checkpoint.write((record) => ({
    ...record,
    children: { ...record.children, [name]: group },
  }));
  return group;
}

interface Sending {
  requests: readonly JobRequest[];
  /** How many of them run at once. */
  limit: number | undefined;
  /** Aborted, no more are sent. */
  signal: AbortSignal;
}

/** Sends those that were not sent yet. What is wrong with one of them is wrong with the parent. */
export async function sendChildren(
  app: Submitting,
  parent: JobRecord,
  name: string,
  group: ChildGroup,
  { requests, limit, signal }: Sending,
): Promise<void> {
  if (limit !== undefined) refuseMixedLanes(app, name, requests);
  const above = ancestorsOf(parent);
  if (above.length >= maxDepth)
    throw new NonRetryableError(
      `'${name}' would be ${maxDepth} deep in children of children: do the work in fewer levels.`,
      { code: 'too_deep' },
    );
  const ids = idsOf(parent.id, name, group);
  const sent = new Set((await app.records.readMany(ids)).map(({ id }) => id));
  await mapInChunks(requests, atOnce, async (given, index) => {
    signal.throwIfAborted();
    const id = ids[index] ?? '';
    if (sent.has(id)) return;
    // As its worker will read it.
    const input = JSON.parse(toJson(given.input, `The input of child ${index} of '${name}'`));
    const request = { ...given, input: input as unknown };
    const requestedBy = request.options?.requestedBy ?? parent.requestedBy;
    await submit(app, request, {
      id,
      parent: parent.id,
      place: placeOfChild(name, index),
      above: above.map(encodeURIComponent).join(' '),
      ...(requestedBy ? { requestedBy } : {}),
      ...(limit === undefined
        ? {}
        : { line: { key: lineOf(parent.id, name), slot: index % limit } }),
    }).catch((error: unknown) => {
      throw wrongForGood(error, name, index);
    });
  });
}

/** From the oldest down to its parent. */
const ancestorsOf = ({ above, parent }: JobRecord): string[] => [
  ...(above?.split(' ').map(decodeURIComponent) ?? []),
  ...(parent !== undefined ? [parent] : []),
];

/** The sessions of a line are one queue's: in two lanes each would let as many run. */
function refuseMixedLanes(
  { types }: Submitting,
  name: string,
  requests: readonly JobRequest[],
): void {
  const lanes = requests.map(
    ({ type, options }) => options?.priority ?? types.find(type)?.policy.lane.name ?? '',
  );
  const different = [...new Set(lanes)];
  if (different.length > 1)
    throw new NonRetryableError(
      `Children '${name}' have a limit and are of several lanes (${different.join(', ')}), each of which would run as many: give each lane a group of its own.`,
      { code: 'mixed_lanes' },
    );
}

const lineOf = (parent: string, name: string): string =>
  `children:${createHash('sha256').update(`${parent}\n${name}`).digest('base64url')}`;

/** A request that is refused now is refused again. */
function wrongForGood(error: unknown, name: string, index: number): unknown {
  if (!isRefusal(error)) return error;
  return new NonRetryableError(`Child ${index} of '${name}' is refused: ${error.message}`, {
    cause: error,
  });
}

/** The results in the order of the requests. */
export async function gatherResults(
  app: Submitting,
  parent: string,
  name: string,
  group: ChildGroup,
): Promise<Settled<unknown>[]> {
  const ids = idsOf(parent, name, group);
  const found = new Map((await app.records.readMany(ids)).map((record) => [record.id, record]));
  return mapInChunks(ids, atOnce, async (id, index) => {
    const record = found.get(id);
    return record?.result
      ? { ok: true, result: JSON.parse(await loadJson(app.blobs, record.result)) as unknown }
      : { ok: false, error: whyNot(name, index, id, record) };
  });
}

function whyNot(name: string, index: number, id: string, record: JobRecord | undefined): Error {
  const { state = 'no longer there', error } = record ?? {};
  const cause = error && Object.assign(new Error(error.message), { name: error.name });
  return new ChildFailedError(name, index, id, state, cause);
}

/** The first that failed, as an error. */
export async function firstFailure(
  app: Submitting,
  parent: string,
  name: string,
  group: ChildGroup,
): Promise<Error> {
  const [index = 0] = group.failed;
  const id = idOfChild(parent, name, group, index);
  return whyNot(name, index, id, (await app.records.read(id))?.record);
}

/**
 * True for a child that outlived its parent: it was sent, or is about to start, after the parent or one
 * above it failed or was cancelled, and the word of that came before it had a record, or is still on its
 * way down.
 */
export async function isOrphan({ records }: Submitting, child: JobRecord): Promise<boolean> {
  const { id, parent, place } = child;
  if (parent === undefined || place === undefined) return false;
  const found = await records.read(parent);
  if (!found) return false;
  if (hasFallen(found.record)) return true;
  const above = await records.readMany(ancestorsOf(child).slice(0, -1));
  if (above.some(hasFallen)) return true;
  const { group, index } = fromPlace(place);
  const known = groupNamed(found.record, group);
  // Started again, the parent has other children.
  return !known || idOfChild(parent, group, known, index) !== id;
}

const hasFallen = ({ state, ending }: JobRecord): boolean =>
  state === 'failed' || state === 'cancelled' || ending !== undefined;

const idsOf = (parent: string, name: string, group: ChildGroup): string[] =>
  Array.from({ length: group.of }, (_, index) => idOfChild(parent, name, group, index));
