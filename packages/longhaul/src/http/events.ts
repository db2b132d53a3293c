/** What happens to a job, and the ends of somebody's jobs, as server-sent events. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import type { Submitting } from '../admit/submit.ts';
import { BadRequestError, LonghaulError } from '../errors.ts';
import { hasEnded, type JobRecord, type Progress, type State } from '../model/job-record.ts';
import { type Announcement, announcedAfter } from '../record/announce.ts';
import { find } from '../record/find.ts';
import { eventStream, lastEventId, type StreamEvent } from './event-stream.ts';
import { Feed } from './feed.ts';
import { routesOf } from './route.ts';
import { toStatus } from './status.ts';
import { Told } from './told.ts';

const lookEveryMs = 500;
// As long as in a submit.
const maxNameChars = 256;

function refuseWhenFull({ isFull }: { isFull: boolean }): void {
  if (isFull)
    throw new LonghaulError(
      'too_many_streams',
      429,
      'So many are watched here that no more can be. Ask for the status, or come again later.',
      { retryAfterSeconds: 10 },
    );
}

interface EventsApi extends Submitting {
  jobs: Feed<JobRecord>;
  ends: Feed<Announcement[]>;
}

export function registerEvents(app: Submitting): void {
  const { records, notes, clock } = app;
  const jobs = new Feed(
    async (ids) => new Map((await records.readMany(ids)).map((record) => [record.id, record])),
    clock,
    lookEveryMs,
  );
  const ends = new Feed(
    async (names) => {
      const from = new Date(clock.now().getTime() - lateMs);
      const found = names.map(async (name) => {
        const all: Announcement[] = [];
        for await (const some of announcedAfter(notes, name, from)) all.push(...some);
        return [name, all] as const;
      });
      return new Map(await Promise.all(found));
    },
    clock,
    lookEveryMs,
  );
  const on = routesOf({ ...app, jobs, ends });
  on('watch-job', 'GET', 'jobs/{id}/events', watchJob, {
    summary: 'Progress and states of a job until its end, as server-sent events',
    headers: ['last-event-id'],
    answers: { 200: 'events', 204: 'none' },
  });
  on('watch-ends', 'GET', 'events', watchEnds, {
    summary: 'The ends of the jobs that somebody asked for, as server-sent events',
    query: { requestedBy: 'whose jobs' },
    headers: ['last-event-id'],
    answers: { 200: 'events' },
  });
}

const ranks = { queued: 0, running: 1, progress: 2, waiting: 3, ended: 4 } as const;

type JobEvent = StreamEvent & { turn: number; rank: number };

const at = (turn: number, rank: number, event: string, data: unknown): JobEvent => ({
  ...{ id: `${turn}.${rank}`, event, data, turn, rank },
});

/**
 * The record as the events that led to it, so that a state between two looks is not left out: those of
 * the turns before it, for who has watched since then, and of its present turn. An event's id is the
 * turn and its rank in it, of a report of progress also how far.
 */
function eventsOf(record: JobRecord, now: Date, sinceTurn: number): JobEvent[] {
  const { id, type, turn, attempt, state, startedAt, progress, passed = [] } = record;
  const status = toStatus(record, now);
  const past = (was: State, attemptOf = attempt) => ({ id, type, attempt: attemptOf, state: was });
  const isOpen = state === 'queued' || state === 'scheduled';
  const ran = state === 'running' || (!isOpen && startedAt !== undefined);
  const before = passed.filter((one) => one.turn >= sinceTurn);
  return [
    ...before.flatMap((one) => eventsOfPast(one, (was) => past(was, one.attempt))),
    at(turn, ranks.queued, 'state', isOpen ? status : past('queued')),
    ...(ran
      ? [at(turn, ranks.running, 'state', state === 'running' ? status : past('running'))]
      : []),
    ...(progress ? [reported(turn, progress, { id, type, attempt, progress })] : []),
    ...(state === 'waiting' ? [at(turn, ranks.waiting, 'state', status)] : []),
    ...(hasEnded(state) ? [at(turn, ranks.ended, 'state', status)] : []),
  ];
}

/** A turn that is over was queued and ran; after that it waited or failed, or was tried again. */
function eventsOfPast(
  { turn, state }: NonNullable<JobRecord['passed']>[number],
  past: (was: State) => object,
): JobEvent[] {
  return [
    at(turn, ranks.queued, 'state', past('queued')),
    at(turn, ranks.running, 'state', past('running')),
    ...(state === 'waiting' ? [at(turn, ranks.waiting, 'state', past(state))] : []),
    ...(hasEnded(state) ? [at(turn, ranks.ended, 'state', past(state))] : []),
  ];
}

const reported = (turn: number, { done }: Progress, data: object) => ({
  ...{ id: `${turn}.${ranks.progress}.${done}`, event: 'progress', data },
  ...{ turn, rank: ranks.progress },
});

async function watchJob(api: EventsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const id = request.params['id'] ?? '';
  const { record: first } = await find(api, id);
  let told = lastEventId(request);
  const known = told?.split('.').map(Number) ?? [];
  // Who comes without an event has seen nothing of the turns before this one, and is not told of them.
  let [turn = first.turn, rank = -1] = known.every(Number.isInteger) ? known : [];
  const isNews = (event: JobEvent) => {
    const isNew = event.turn > turn || (event.turn === turn && event.rank > rank);
    const isProgress = event.rank === ranks.progress && event.turn === turn;
    return (isNew || (isProgress && rank <= ranks.progress)) && event.id !== told;
  };
  const newsOf = (record: JobRecord) => eventsOf(record, api.clock.now(), turn).filter(isNews);
  // HTML standard, 9.2: 204 tells who has heard the end not to come again.
  if (hasEnded(first.state) && newsOf(first).length === 0) return { status: 204 };
  if (!hasEnded(first.state)) refuseWhenFull(api.jobs);
  return eventStream(api.clock, (send, end) => {
    const tell = (record: JobRecord) => {
      for (const event of newsOf(record)) {
        send(event);
        told = event.id;
        [turn, rank] = [event.turn, event.rank];
      }
      if (hasEnded(record.state)) end();
    };
    tell(first);
    return hasEnded(first.state) ? () => undefined : api.jobs.watch(id, tell);
  });
}

// An end may be announced so long after its time, by a worker whose clock is behind or that died.
const lateMs = 60_000;

async function watchEnds(api: EventsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const requestedBy = request.query.get('requestedBy');
  if (!requestedBy || requestedBy.length > maxNameChars)
    throw new BadRequestError(
      `Say whose jobs to watch: /events?requestedBy=NAME, of ${maxNameChars} characters at most.`,
    );
  const last = lastEventId(request);
  const from = last ? new Date(last.slice(0, last.indexOf('_'))) : api.clock.now();
  if (Number.isNaN(from.getTime()))
    throw new BadRequestError('Last-Event-ID is none that was sent here.');
  refuseWhenFull(api.ends);
  const missed: Announcement[] = [];
  if (last)
    for await (const some of announcedAfter(api.notes, requestedBy, from)) missed.push(...some);
  return eventStream(api.clock, (send) => {
    const told = new Told();
    if (last) told.tell(last);
    const tell = (found: readonly Announcement[]) => {
      for (const { id, ...data } of found)
        if (id >= from.toISOString() && told.tell(id))
          send({ id, event: `longhaul.job.${data.state}`, data });
      told.forgetBefore(new Date(api.clock.now().getTime() - 2 * lateMs).toISOString());
    };
    tell(missed);
    return api.ends.watch(requestedBy, tell);
  });
}
