/** Schedules are made, changed, paused and removed; each change is checked as a whole first. */

import { submitOnce } from '../admit/idempotency.ts';
import { check, type Submitted } from '../admit/submit.ts';
import { orRefused } from '../admit/submit-many.ts';
import {
  definitionOf,
  isScheduleId,
  issuesOf,
  listedIssues,
  originOf,
  requestOf,
  sameDefinition,
  sameTiming,
} from '../define/schedule-definition.ts';
import { firstTime } from '../define/times.ts';
import {
  BadRequestError,
  DeclaredScheduleError,
  type LonghaulError,
  ScheduleNotFoundError,
} from '../errors.ts';
import { idOfOccurrence } from '../model/id.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import type { Schedule, ScheduleDefinition } from '../model/schedule.ts';
import type { StoredSchedule } from '../ports.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import { change, type Scheduling } from './apply.ts';
import { historyLimit, plan, ranBeside, underWay } from './plan.ts';
import { heardFrom, watched } from './watch.ts';

/** @throws BadRequestError, UnknownJobTypeError, InvalidInputError */
export async function checkDefinition(
  app: Scheduling,
  id: string,
  definition: ScheduleDefinition,
): Promise<void> {
  const issues = issuesOf(id, definition);
  if (issues.length > 0)
    throw new BadRequestError(`This is no schedule: ${listedIssues(issues)}.`, issues);
  await check(app, requestOf(definition), originOf(id, definition));
}

export interface Put {
  schedule: Schedule;
  created: boolean;
}

/**
 * Makes it, or changes what it asks for; what has become of it stays. Said again it changes nothing.
 * @throws what `checkDefinition` throws: then nothing has changed
 */
export async function putSchedule(
  app: Scheduling,
  id: string,
  definition: ScheduleDefinition,
  declared = false,
): Promise<Put> {
  await checkDefinition(app, id, definition);
  return redefine(app, id, async (stored) => {
    if (stored?.declared && !declared) throw new DeclaredScheduleError(id);
    return { definition, declared };
  });
}

/** @throws ScheduleNotFoundError, and what `checkDefinition` throws */
export async function patchSchedule(
  app: Scheduling,
  id: string,
  patch: (definition: ScheduleDefinition) => ScheduleDefinition,
): Promise<Schedule> {
  if (!isScheduleId(id)) throw new ScheduleNotFoundError(id);
  const { schedule } = await redefine(app, id, async (stored) => {
    if (!stored) throw new ScheduleNotFoundError(id);
    const definition = patch(definitionOf(stored));
    const { declared = false, enabled } = stored;
    // One in the code can be paused, and that is all.
    if (declared && !sameDefinition({ ...definition, enabled }, stored))
      throw new DeclaredScheduleError(id);
    await checkDefinition(app, id, definition);
    return { definition, declared };
  });
  return schedule;
}

/** What was due before the change is settled by what the schedule said then. */
async function redefine(
  app: Scheduling,
  id: string,
  to: (
    stored: Schedule | undefined,
  ) => Promise<{ definition: ScheduleDefinition; declared: boolean }>,
): Promise<Put> {
  const { schedule, created } = await change(app, id, async (stored) => {
    const known = stored?.schedule;
    const { definition, declared } = await to(known);
    const now = app.clock.now();
    if (!known)
      return {
        schedule: made({ id, salt: await app.schedules.saltOf(id) }, definition, now, declared),
        send: [],
      };
    if (sameDefinition(known, definition) && (known.declared ?? false) === declared)
      return { schedule: known, send: [] };
    const after = (sent: Schedule) => renewed(sent, definition, now, declared);
    return { ...plan(await watched(app, known), now, now), until: now, after };
  });
  if (!schedule) throw new ScheduleNotFoundError(id);
  return { schedule, created };
}

function made(
  name: Pick<Schedule, 'id' | 'salt'>,
  definition: ScheduleDefinition,
  now: Date,
  declared: boolean,
): Schedule {
  const next = definition.enabled ? firstTime(definition, now) : undefined;
  return {
    ...definition,
    ...name,
    createdAt: now.toISOString(),
    counts: { runs: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 },
    history: [],
    ...(declared ? { declared } : {}),
    ...(next ? { nextAt: next.toISOString() } : {}),
  };
}

/** With another definition. What has become of it so far, what runs and what waits stays. */
function renewed(
  before: Schedule,
  definition: ScheduleDefinition,
  now: Date,
  declared: boolean,
): Schedule {
  const { id, salt, createdAt, counts, history, lastAt, running, early, pending, nextAt } = before;
  const next = sameTiming(before, definition) ? nextAt : timeFrom(definition, before, now);
  const kept = { salt, lastAt, running, early, pending, nextAt: next };
  const schedule = {
    ...definition,
    ...{ id, createdAt, counts, history },
    ...(declared ? { declared } : {}),
    ...Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)),
  };
  // Where runs may overlap none is held to be under way; from now on the last one counts.
  const last = history.findLast(({ state }) => state === 'running');
  return before.overlap === 'allow' && definition.overlap !== 'allow' && !running && last?.job
    ? underWay(schedule, last.job, new Date(last.at))
    : schedule;
}

/** The first due time of another timing. What was sent ahead by the one before is not sent again. */
function timeFrom(
  definition: ScheduleDefinition,
  { id, salt, lastAt, running, history }: Schedule,
  now: Date,
): string | undefined {
  const { enabled, every, at } = definition;
  // An `every` that runs counts from the end of that run.
  if (!enabled || (every && running)) return undefined;
  const job = at && idOfOccurrence(id, new Date(at), salt);
  if (job && history.some((run) => run.job === job)) return undefined;
  const from = !at && lastAt && new Date(lastAt) > now ? new Date(lastAt) : now;
  return firstTime(definition, from)?.toISOString();
}

/** @throws ScheduleNotFoundError, DeclaredScheduleError */
export async function removeSchedule(app: Scheduling, id: string): Promise<void> {
  await findSchedule(app, id);
  await retryOnConflict(async () => {
    // Gone by now: another removed it meanwhile, or this one did and its answer was lost.
    const stored = await app.schedules.read(id);
    if (stored?.schedule.declared) throw new DeclaredScheduleError(id);
    if (stored) await app.schedules.remove(stored);
  });
}

/** Runs it now, beside its due times and whatever the overlap says. */
export async function runNow(app: Scheduling, id: string, key?: string): Promise<JobRecord> {
  const { schedule } = await findSchedule(app, id);
  const now = app.clock.now();
  const asked = { ...originOf(id, schedule), scheduledFor: now };
  const run = await submitOnce(app, requestOf(schedule), key, asked);
  const { record } = run;
  await change(app, id, async (stored) =>
    stored && isUnknown(stored.schedule, run)
      ? { schedule: heardFrom(ranBeside(stored.schedule, now, record.id), record, now), send: [] }
      : stored && { schedule: stored.schedule, send: [] },
  );
  return record;
}

/**
 * A key that comes again gives the job that was made then. It is on record already, or was and made
 * room for others, unless whoever made it died in between: then its end is still to come, or was told
 * early.
 */
function isUnknown(
  { early = [], history }: Schedule,
  { record, replayed }: Submitted & { replayed: boolean },
): boolean {
  if (!replayed) return true;
  const [oldest] = history;
  const { id, scheduledFor = '', state } = record;
  if (history.length === historyLimit && oldest && oldest.at >= scheduledFor) return false;
  return !hasEnded(state) || early.some(({ job }) => job === id);
}

/** @throws ScheduleNotFoundError */
export async function findSchedule({ schedules }: Scheduling, id: string): Promise<StoredSchedule> {
  // What cannot be an id is none, and no key of an entity either.
  const stored = isScheduleId(id) ? await schedules.read(id) : undefined;
  if (!stored) throw new ScheduleNotFoundError(id);
  return stored;
}

// So that the changes of one shard fill a transaction.
const atOnce = 400;

/** Many at once, each validated individually, in their order. */
export async function putMany(
  app: Scheduling,
  all: readonly (() => { id: string; definition: ScheduleDefinition })[],
): Promise<(Put | { refused: LonghaulError })[]> {
  return mapInChunks(all, atOnce, (read) =>
    orRefused(async () => {
      const { id, definition } = read();
      return putSchedule(app, id, definition);
    }),
  );
}
