/** A job of ours that does to many jobs what could be done to one: retry, cancel, delete. */
import { z } from 'zod';
import { retry } from '../admit/retry.ts';
import { submit } from '../admit/submit.ts';
import { defineJob, type Job } from '../define/define-job.ts';
import { isRefusal } from '../errors.ts';
import { isEnded, type JobRecord, states } from '../model/job-record.ts';
import type { RecordFilter } from '../ports.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import type { Working } from '../run/attempt.ts';
import { cancel } from '../wait/cancel.ts';
import { Pace } from './pace.ts';
import { removeJob } from './remove.ts';

export const actionType = 'longhaul.action';
export const deeds = ['retry', 'cancel', 'delete'] as const;
export type Deed = (typeof deeds)[number];

const text = z.string().max(256).optional();
const time = z.iso.datetime({ offset: true }).optional();

/** Which jobs are meant; all that it says holds. */
export const jobFilter = z.strictObject({
  ...{ type: text, key: text, parent: text, schedule: text, requestedBy: text },
  state: z.enum(states).optional(),
  /** Submitted from this time on, and before that one. */
  ...{ from: time, to: time },
  /** In the error's name or message. */
  error: text,
});

export type JobFilter = z.output<typeof jobFilter>;

const input = z.strictObject({
  do: z.enum(deeds),
  filter: jobFilter,
  /** So many a second. */
  pace: z.number().min(0.01).max(1000),
  by: z.string().optional(),
  why: z.string().optional(),
});

export type ActionInput = z.output<typeof input>;

/** What can be done to a job in this state at all. */
const isOpenTo: Record<Deed, (record: JobRecord) => boolean> = {
  retry: ({ state }) => state === 'failed',
  cancel: (record) => !isEnded(record),
  delete: isEnded,
};

/** Starts the job, which says how far it is, and can be cancelled. */
export async function startAction(app: Working, given: ActionInput): Promise<JobRecord> {
  const options = given.by === undefined ? {} : { requestedBy: given.by };
  return (await submit(app, { type: actionType, input: given, options }, { own: true })).record;
}

/** How many there are now; `isWhole` is false when two seconds were too short to count all. */
export async function countMeant(
  app: Pick<Working, 'records' | 'clock'>,
  { do: deed, filter }: Pick<ActionInput, 'do' | 'filter'>,
): Promise<{ count: number; isWhole: boolean }> {
  const until = app.clock.now().getTime() + lookForMs;
  let count = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await app.records.list(toRecordFilter(deed, filter), mostInPage, cursor);
    count += page.records.filter((record) => isMeant(deed, filter, record)).length;
    cursor = page.cursor;
    if (!cursor) return { count, isWhole: true };
    if (app.clock.now().getTime() >= until) return { count, isWhole: false };
  }
}

const lookForMs = 2_000;
const mostInPage = 1000;

const toRecordFilter = (
  deed: Deed,
  { error: _, from, to, ...filter }: JobFilter,
): RecordFilter => ({
  ...filter,
  ...(deed === 'retry' ? { state: 'failed' } : {}),
  ...(from ? { from: new Date(from) } : {}),
  ...(to ? { to: new Date(to) } : {}),
});

function isMeant(deed: Deed, { from, to, error }: JobFilter, record: JobRecord): boolean {
  const { createdAt, type, error: met } = record;
  return (
    type !== actionType &&
    isOpenTo[deed](record) &&
    (from === undefined || createdAt >= new Date(from).toISOString()) &&
    (to === undefined || createdAt < new Date(to).toISOString()) &&
    (error === undefined || `${met?.name}: ${met?.message}`.includes(error))
  );
}

type Done = { done: number; refused: string[] };

/** `app` is there once a job runs. */
export const actionJob = (app: () => Working) =>
  defineJob({
    type: actionType,
    input,
    // Slow ones are not to take the places of the lane's own jobs.
    key: () => 'longhaul',
    limit: 4,
    timeout: '10m',
    // Each goes on from the page at which the one before ended.
    attempts: 100,
    backoff: { initial: '1s', max: '5s' },
    run: (given, job): Promise<Done> =>
      job.checkpoint('pages', { cursor: '', done: 0, refused: [] as string[] }, (from, save) =>
        goThrough(app(), given, job, from, save),
      ),
  });

interface Page extends Done {
  cursor: string;
}

const pageSize = 200;
const atOnce = 20;

async function goThrough(
  app: Working,
  { do: deed, filter, pace: perSecond }: ActionInput,
  job: Pick<Job, 'id' | 'signal' | 'progress'>,
  from: Page,
  save: (next: Page) => Promise<void>,
): Promise<Done> {
  const pace = new Pace(app.clock, perSecond);
  const wanted = toRecordFilter(deed, filter);
  let { cursor, done, refused } = from;
  for (;;) {
    const page = await app.records.list(wanted, pageSize, cursor || undefined);
    const meant = page.records.filter((record) => isMeant(deed, filter, record));
    await mapInChunks(meant, atOnce, async (record) => {
      await pace.next(job.signal);
      const why = await doTo(app, deed, record, job.id);
      if (why === undefined) done++;
      else refused = [...refused, `${record.id}: ${why}`].slice(0, 20);
    });
    await job.progress({ done, note: `${deed}: ${done} done` });
    if (!page.cursor) return { done, refused };
    cursor = page.cursor;
    // Crash before here: the page is gone through again, and what was done is not done again.
    await save({ cursor, done, refused });
  }
}

/** Why not, if it was refused. */
async function doTo(
  app: Working,
  deed: Deed,
  record: JobRecord,
  action: string,
): Promise<string | undefined> {
  try {
    if (deed === 'cancel') await cancel(app, record.id);
    if (deed === 'delete') await removeJob(app, record.id);
    if (deed === 'retry') await retryOnConflict(() => retry(app, record.id, action));
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return error.message;
    throw error;
  }
}
