/** Schedules are made, changed, paused and removed; each change is checked as a whole first. */
import { Cron } from 'croner';
import { stringify } from 'safe-stable-stringify';
import type { JobRequest } from '../define-job.ts';
import {
  BadRequestError,
  DeclaredScheduleError,
  type Issue,
  type LonghaulError,
  ScheduleNotFoundError,
} from '../errors.ts';
import { durationPattern, toMs } from '../model/duration.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Schedule, ScheduleDefinition } from '../model/schedule.ts';
import { untilWritten } from '../pipeline/contested.ts';
import { submitOnce } from '../pipeline/idempotency.ts';
import { inParts } from '../pipeline/in-parts.ts';
import type { Schedules, StoredSchedule } from '../pipeline/ports.ts';
import { check, type Submitting } from '../pipeline/submit.ts';
import { orRefused } from '../pipeline/submit-many.ts';
import { ranBeside } from './plan.ts';
import { firstTime } from './times.ts';

export type Scheduling = Submitting & { schedules: Schedules };

const idPattern = /^[\w.:-]{1,100}$/;
// The whole schedule is one property of a table entity.
const maxInputChars = 16_000;

/** @throws BadRequestError, UnknownJobTypeError, InvalidInputError */
export async function checkDefinition(
  app: Submitting,
  id: string,
  definition: ScheduleDefinition,
): Promise<void> {
  const issues: Issue[] = [];
  const wrong = (pointer: string, message: string) => issues.push({ pointer, message });
  if (!idPattern.test(id)) wrong('/id', 'has letters, digits and . : _ -, 100 at most');
  checkTiming(definition, wrong);
  const { every, jitter, startsAt, endsAt, input } = definition;
  for (const [name, value] of Object.entries({ every, jitter }))
    if (value !== undefined && !durationPattern.test(value))
      wrong(`/${name}`, "is no duration: write '30s', '10m' or '2h'");
  if (every && durationPattern.test(every) && toMs(every) < 1000)
    wrong('/every', 'is a second at least');
  if (startsAt && endsAt && startsAt >= endsAt) wrong('/endsAt', 'comes before startsAt');
  if ((JSON.stringify(input) ?? '').length > maxInputChars)
    wrong(
      '/input',
      `has more than ${maxInputChars} characters: put the data in a blob and name it`,
    );
  if (issues.length > 0) {
    const told = issues.map(({ pointer, message }) => `${pointer} ${message}`).join('; ');
    throw new BadRequestError(`This is no schedule: ${told}.`, issues);
  }
  await check(app, requestOf(definition), originOf(id, definition));
}

function checkTiming(
  { cron, timeZone, every, at }: ScheduleDefinition,
  wrong: (pointer: string, message: string) => void,
): void {
  const given = Object.entries({ cron, every, at }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) wrong('', 'gives one of cron, every and at');
  if (timeZone !== undefined && cron === undefined) wrong('/timeZone', 'belongs to a cron');
  if (cron === undefined) return;
  if (timeZone !== undefined && !isZone(timeZone)) {
    wrong(
      '/timeZone',
      `'${timeZone}' is no time zone: write an IANA name such as Europe/Amsterdam`,
    );
    return;
  }
  try {
    const pattern = new Cron(cron, { timezone: timeZone ?? 'UTC', paused: true });
    if (!pattern.nextRun()) wrong('/cron', `'${cron}' never fires`);
  } catch (error) {
    wrong('/cron', `'${cron}' cannot be read: ${(error as Error).message}`);
  }
}

function isZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }));
  } catch {
    return false;
  }
}

/** What a due time asks for. */
export const requestOf = (
  { type, input, tenant, lane }: ScheduleDefinition,
  runAt?: Date,
): JobRequest => ({
  type,
  input,
  options: {
    ...(runAt ? { runAt } : {}),
    ...(tenant ? { requestedBy: tenant } : {}),
    ...(lane ? { priority: lane } : {}),
  },
});

export const originOf = (id: string, { key }: ScheduleDefinition) => ({
  schedule: id,
  ...(key === undefined ? {} : { key }),
});

export const sameDefinition = (a: ScheduleDefinition, b: ScheduleDefinition) =>
  stringify(definitionOf(a)) === stringify(definitionOf(b));

export function definitionOf(schedule: ScheduleDefinition): ScheduleDefinition {
  const { type, input, cron, timeZone, every, at, tenant, overlap, misfire, jitter } = schedule;
  const { startsAt, endsAt, enabled, lane, key } = schedule;
  const all = { type, input, cron, timeZone, every, at, tenant, overlap, misfire, jitter };
  const given = Object.entries({ ...all, startsAt, endsAt, enabled, lane, key });
  return Object.fromEntries(
    given.filter(([, value]) => value !== undefined),
  ) as unknown as ScheduleDefinition;
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
  return change(
    app,
    id,
    (stored) => {
      if (stored?.declared && !declared) throw new DeclaredScheduleError(id);
      return definition;
    },
    declared,
  );
}

/** @throws ScheduleNotFoundError, and what `checkDefinition` throws */
export async function patchSchedule(
  app: Scheduling,
  id: string,
  patch: (definition: ScheduleDefinition) => ScheduleDefinition,
): Promise<Schedule> {
  const { schedule } = await findSchedule(app, id);
  const patched = patch(definitionOf(schedule));
  // One in the code can be paused, and that is all.
  if (schedule.declared && !sameDefinition({ ...patched, enabled: schedule.enabled }, schedule))
    throw new DeclaredScheduleError(id);
  await checkDefinition(app, id, patched);
  return (await change(app, id, () => patched, schedule.declared)).schedule;
}

async function change(
  { schedules, clock }: Scheduling,
  id: string,
  to: (stored: Schedule | undefined) => ScheduleDefinition,
  declared = false,
): Promise<Put> {
  return untilWritten(async () => {
    const stored = await schedules.read(id);
    const known = stored?.schedule;
    const definition = to(known);
    if (known && sameDefinition(known, definition) && (known.declared ?? false) === declared)
      return { schedule: known, created: false };
    const next = renewed(id, known, definition, clock.now(), declared);
    await schedules.write(next, stored);
    return { schedule: next, created: !stored };
  });
}

function renewed(
  id: string,
  before: Schedule | undefined,
  definition: ScheduleDefinition,
  now: Date,
  declared: boolean,
): Schedule {
  const { createdAt = now.toISOString(), running, early, history = [] } = before ?? {};
  const counts = before?.counts ?? { runs: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 };
  // An `every` that runs counts from the end of that run.
  const next = definition.enabled && !(definition.every && running) && firstTime(definition, now);
  return {
    ...definition,
    id,
    createdAt,
    counts,
    history,
    ...(declared ? { declared } : {}),
    ...(running ? { running } : {}),
    ...(early ? { early } : {}),
    ...(next ? { nextAt: next.toISOString() } : {}),
  };
}

/** @throws ScheduleNotFoundError, DeclaredScheduleError */
export async function removeSchedule(app: Scheduling, id: string): Promise<void> {
  await untilWritten(async () => {
    const stored = await findSchedule(app, id);
    if (stored.schedule.declared) throw new DeclaredScheduleError(id);
    await app.schedules.remove(stored);
  });
}

/** Runs it now, beside its due times and whatever the overlap says. */
export async function runNow(app: Scheduling, id: string, key?: string): Promise<JobRecord> {
  const { schedule } = await findSchedule(app, id);
  const now = app.clock.now();
  const asked = { ...originOf(id, schedule), scheduledFor: now };
  const { record } = await submitOnce(app, requestOf(schedule), key, asked);
  return untilWritten(async () => {
    const stored = await app.schedules.read(id);
    if (stored) await app.schedules.write(ranBeside(stored.schedule, now, record.id), stored);
    return record;
  });
}

/** @throws ScheduleNotFoundError */
export async function findSchedule({ schedules }: Scheduling, id: string): Promise<StoredSchedule> {
  const stored = await schedules.read(id);
  if (!stored) throw new ScheduleNotFoundError(id);
  return stored;
}

// So that the changes of one shard fill a transaction.
const atOnce = 400;

/** Many at once, each accepted or refused by itself, in their order. */
export async function putMany(
  app: Scheduling,
  all: readonly (() => { id: string; definition: ScheduleDefinition })[],
): Promise<(Put | { refused: LonghaulError })[]> {
  return inParts(all, atOnce, (read) =>
    orRefused(async () => {
      const { id, definition } = read();
      return putSchedule(app, id, definition);
    }),
  );
}
