/** What a schedule asks for: what is wrong with it, and what two of them have in common. Without I/O. */
import { stringify } from 'safe-stable-stringify';
import type { Issue } from '../errors.ts';
import { isDuration, longestDuration, toMs } from '../model/duration.ts';
import type { ScheduleDefinition } from '../model/schedule.ts';
import type { JobRequest } from './define-job.ts';
import { patternOf } from './times.ts';

// `batch` is an address of the API.
const idPattern = /^(?!batch$)[\w.:-]{1,100}$/;
// The whole schedule is one property of a table entity.
const maxInputChars = 16_000;

export const isScheduleId = (text: string): boolean => idPattern.test(text);

/** What can be said of a schedule without its job type; the same for one in the code and one by HTTP. */
export function issuesOf(
  id: string,
  definition: Omit<ScheduleDefinition, 'type' | 'overlap' | 'misfire' | 'enabled'>,
): Issue[] {
  const issues: Issue[] = [];
  const wrong = (pointer: string, message: string) => issues.push({ pointer, message });
  if (!isScheduleId(id))
    wrong('/id', "has letters, digits and . : _ -, 100 at most, and is not 'batch'");
  checkTiming(definition, wrong);
  const { every, jitter, startsAt, endsAt, input } = definition;
  for (const [name, value] of Object.entries({ every, jitter }))
    if (value !== undefined && !isDuration(value))
      wrong(`/${name}`, `is no duration: write '30s', '10m' or '2h', ${longestDuration} at most`);
  if (every && isDuration(every) && toMs(every) < 1000) wrong('/every', 'is a second at least');
  if (startsAt && endsAt && startsAt >= endsAt) wrong('/endsAt', 'comes before startsAt');
  if ((JSON.stringify(input) ?? '').length > maxInputChars)
    wrong(
      '/input',
      `has more than ${maxInputChars} characters: put the data in a blob and name it`,
    );
  return issues;
}

export const listedIssues = (issues: readonly Issue[]): string =>
  issues.map(({ pointer, message }) => `${pointer} ${message}`.trim()).join('; ');

function checkTiming(
  { cron, timeZone, every, at }: Pick<ScheduleDefinition, 'cron' | 'timeZone' | 'every' | 'at'>,
  wrong: (pointer: string, message: string) => void,
): void {
  const given = Object.entries({ cron, every, at }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) wrong('', 'gives one of cron, every and at');
  if (timeZone !== undefined && cron === undefined) wrong('/timeZone', 'belongs to a cron');
  if (cron === undefined) return;
  if (timeZone !== undefined && !isZone(timeZone))
    wrong(
      '/timeZone',
      `'${timeZone}' is no time zone: write an IANA name such as Europe/Amsterdam`,
    );
  try {
    if (!firesEver(cron)) wrong('/cron', `'${cron}' never fires`);
  } catch (error) {
    wrong('/cron', `'${cron}' cannot be read: ${(error as Error).message}`);
  }
}

/** @throws when it cannot be read */
function firesEver(cron: string): boolean {
  const pattern = patternOf(cron);
  try {
    return pattern.nextRun() !== null;
  } catch (error) {
    // The library looks on month by month, and its stack ends before the calendar does.
    if (error instanceof RangeError) return false;
    throw error;
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

export const sameDefinition = (a: ScheduleDefinition, b: ScheduleDefinition): boolean =>
  stringify(definitionOf(a)) === stringify(definitionOf(b));

/** Whether the due times of one go on as those of the other. */
export const sameTiming = (a: ScheduleDefinition, b: ScheduleDefinition): boolean =>
  stringify(timingOf(a)) === stringify(timingOf(b));

function timingOf({ cron, timeZone, every, at, startsAt, endsAt, enabled }: ScheduleDefinition) {
  return { cron, timeZone, every, at, startsAt, endsAt, enabled };
}

export function definitionOf(schedule: ScheduleDefinition): ScheduleDefinition {
  const { type, input, tenant, overlap, misfire, jitter, lane, key } = schedule;
  const all = { type, input, tenant, overlap, misfire, jitter, lane, key, ...timingOf(schedule) };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as unknown as ScheduleDefinition;
}
