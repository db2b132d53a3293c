/** Why a job is not further than it is: in words, and in data. */
import { countEnded, groupNamed } from '../fate/waiting.ts';
import { isEnded, type JobRecord } from '../model/job-record.ts';
import { laneOf } from '../model/topology.ts';
import { find } from '../record/find.ts';
import type { Pause } from '../record/pauses.ts';
import type { Working } from '../run/attempt.ts';
import { type WorkerStatus, workersHeardOf } from '../run/heartbeat.ts';
import { mostCounted } from './queues.ts';

/** One thing that stands between the job and its end. */
export interface Reason {
  code: string;
  message: string;
  [data: string]: unknown;
}

/** @throws JobNotFoundError, JobExpiredError */
export async function why(
  app: Working,
  id: string,
): Promise<{ state: JobRecord['state']; reasons: Reason[] }> {
  const { record } = await find(app, id);
  return { state: record.state, reasons: await reasonsOf(app, record) };
}

async function reasonsOf(app: Working, record: JobRecord): Promise<Reason[]> {
  if (isEnded(record)) return [ended(record)];
  const asked = record.cancelRequestedAt ? [cancelling(record.cancelRequestedAt)] : [];
  const undoing = record.ending ? [undoingSteps(record)] : [];
  const more = {
    scheduled: () => untilDue(app, record),
    queued: () => untilDue(app, record),
    running: () => whoRuns(app, record),
    waiting: () => waitsFor(app, record),
  }[record.state];
  return [...asked, ...undoing, ...(await more())];
}

const ended = ({ state, finishedAt, error }: JobRecord & { state: string }): Reason => ({
  code: 'ended',
  message: `It ended as ${state} at ${finishedAt}${error ? `: ${error.name}: ${error.message}` : ''}.`,
  at: finishedAt,
});

const cancelling = (at: string): Reason => ({
  code: 'cancelling',
  message: `Somebody asked at ${at} that it be cancelled.`,
  at,
});

const undoingSteps = ({ ending }: JobRecord): Reason => ({
  code: 'undoing',
  message: `Its steps are undone${ending?.step ? `, now '${ending.step}'` : ''}; then it ends as ${ending?.state}.`,
  ...(ending?.step ? { step: ending.step } : {}),
});

async function untilDue(app: Working, record: JobRecord): Promise<Reason[]> {
  const { runAt, attempt, error } = record;
  if (!runAt || new Date(runAt) <= app.clock.now()) return inQueue(app, record);
  const after = attempt > 1 && error ? `: attempt ${attempt - 1} failed with ${error.name}` : '';
  return [
    {
      code: attempt > 1 ? 'backoff' : 'scheduled',
      message: `Attempt ${attempt} is due at ${runAt}${after}.`,
      until: runAt,
      ...(after ? { error: { name: error?.name, message: error?.message } } : {}),
    },
    ...(await pausesOf(app, record)),
  ];
}

async function pausesOf(app: Working, { type, lane }: JobRecord): Promise<Reason[]> {
  const own = app.types.find(type)?.definition.type ?? type;
  const all = await app.pauses.all();
  return all
    .filter(({ scope, name }) => name === (scope === 'type' ? own : lane))
    .map((one) => paused(one));
}

function paused({ scope, name, at, by, why: because, until, resuming }: Pause): Reason {
  const who = by ? ` by ${by}` : '';
  const reason = because ? `: ${because}` : '';
  const end = until ? ` It resumes at ${until}.` : '';
  return {
    code: resuming ? 'resuming' : 'paused',
    message: resuming
      ? `The ${scope} ${name} is being resumed; its jobs are sent on in their order.`
      : `The ${scope} ${name} is paused since ${at}${who}${reason}.${end}`,
    ...{ scope, name, since: at },
    ...(by ? { by } : {}),
    ...(because ? { why: because } : {}),
    ...(until ? { until } : {}),
  };
}

async function inQueue(app: Working, record: JobRecord): Promise<Reason[]> {
  const [pauses, workers, holder, ahead] = await Promise.all([
    pausesOf(app, record),
    workersHeardOf(app),
    holderOf(app, record),
    messagesAhead(app, record),
  ]);
  return [...pauses, ...holder, ...ofWorkers(record, workers), ...ahead];
}

function ofWorkers({ lane }: JobRecord, all: readonly WorkerStatus[]): Reason[] {
  const serving = all.filter(({ lanes }) => lanes.includes(lane));
  if (serving.length === 0)
    return [
      {
        code: 'no-worker',
        message: `No worker was heard of lately that serves the lane ${lane}: its app is off, scaled to nothing, or just starting.`,
        lane,
      },
    ];
  const places = serving.reduce((sum, one) => sum + one.places, 0);
  const running = serving.reduce((sum, one) => sum + one.running, 0);
  if (running < places) return [];
  const message = `The ${serving.length} workers of the lane ${lane} run as many jobs as they take, ${places}.`;
  return [{ code: 'workers-busy', message, lane, running, places }];
}

/** Whoever runs with its key now. A job says that it runs after two seconds. */
async function holderOf({ records }: Working, { key, session, id }: JobRecord): Promise<Reason[]> {
  if (key === undefined) return [];
  const found = await records.list({ key, state: 'running' }, 10, undefined);
  const holder = found.records.find((one) => one.session === session && one.id !== id);
  if (!holder) return [];
  const since = holder.startedAt ? ` since ${holder.startedAt}` : '';
  const message = `Job ${holder.id} (${holder.type}) has the key '${key}'${since}.`;
  return [{ code: 'behind', message, key, job: holder.id }];
}

async function messagesAhead(
  { queue, topology }: Working,
  { queue: name, session, key, id }: JobRecord,
): Promise<Reason[]> {
  const lying = await queue.peek(name, mostCounted);
  const own = lying.findIndex((one) => one.job === id);
  const before = own === -1 ? lying : lying.slice(0, own);
  const isOwnSession = (one: { sessionId?: string | undefined }) =>
    key === undefined || one.sessionId === (session ?? key);
  const ahead = before.filter((one) => one.state === 'active' && isOwnSession(one)).length;
  const lane = laneOf(topology, name)?.name;
  const many = ahead >= mostCounted ? `${mostCounted} or more` : String(ahead);
  const of = key === undefined ? '' : ` of the key '${key}'`;
  const message = `It is in the queue ${name}, with ${many} messages${of} before it.`;
  return [{ code: 'queued', message, queue: name, lane, ahead }];
}

async function whoRuns(app: Working, record: JobRecord): Promise<Reason[]> {
  const { id, startedAt, attempt, progress } = record;
  const worker = (await workersHeardOf(app)).find(({ jobs }) => jobs.some(({ job }) => job === id));
  const where = worker ? ` on ${worker.app} ${worker.instance}` : '';
  const how = progress ? `, ${progress.done}${progress.of ? ` of ${progress.of}` : ''} done` : '';
  return [
    {
      code: 'running',
      message: `Attempt ${attempt} runs since ${startedAt}${where}${how}.`,
      attempt,
      since: startedAt,
      ...(worker ? { worker: worker.id } : {}),
    },
  ];
}

async function waitsFor(app: Working, record: JobRecord): Promise<Reason[]> {
  const { pause, until, events = [], children = [] } = record.waits ?? {};
  return [
    ...(pause ? await pausesOf(app, record) : []),
    ...(until ? [{ code: 'sleep', message: `It goes on at ${until} at the latest.`, until }] : []),
    ...events.map((event) => ({
      code: 'event',
      message: `It waits for the event '${event}': POST /api/jobs/${record.id}/events/${event}.`,
      event,
    })),
    ...children.map((group) => ofGroup(record, group)),
  ];
}

function ofGroup(record: JobRecord, name: string): Reason {
  const { of = 0, ended: bits = '', failed = [] } = groupNamed(record, name) ?? {};
  const done = countEnded(bits);
  const bad = failed.length > 0 ? `, ${failed.length} of them not well` : '';
  return {
    code: 'children',
    message: `It waits for its children '${name}': ${done} of ${of} have ended${bad}.`,
    ...{ group: name, of, ended: done },
  };
}
