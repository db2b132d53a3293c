/** What happens to a job, and the ends of somebody's jobs, as server-sent events. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { BadRequestError } from '../errors.ts';
import { hasEnded, type JobRecord, type Progress } from '../model/job-record.ts';
import { type Announcement, announcedAfter } from '../pipeline/announce.ts';
import { find } from '../pipeline/find.ts';
import type { Submitting } from '../pipeline/submit.ts';
import { eventStream, lastEventId, type StreamEvent } from './event-stream.ts';
import { Feed } from './feed.ts';
import { routesOf } from './route.ts';
import { toStatus } from './status.ts';

const lookEveryMs = 500;

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
      const found = names.map(
        async (name) => [name, await announcedAfter(notes, name, from)] as const,
      );
      return new Map(await Promise.all(found));
    },
    clock,
    lookEveryMs,
  );
  const on = routesOf({ ...app, jobs, ends });
  on('watch-job', 'GET', 'jobs/{id}/events', watchJob, {
    summary: 'Progress and states of a job until its end, as server-sent events',
    headers: ['last-event-id'],
    answers: { 200: 'events' },
  });
  on('watch-ends', 'GET', 'events', watchEnds, {
    summary: 'The ends of the jobs that somebody asked for, as server-sent events',
    query: { requestedBy: 'whose jobs' },
    headers: ['last-event-id'],
    answers: { 200: 'events' },
  });
}

const ranks = { queued: 0, running: 1, progress: 2, waiting: 3, ended: 4 } as const;

/**
 * The record as the events that led to it in its present turn, so that a state between two looks is
 * not left out. An event's id is the turn and its rank in it, of a report of progress also how far.
 */
function eventsOf(record: JobRecord, now: Date): (StreamEvent & { turn: number; rank: number })[] {
  const { id, type, turn, attempt, state, startedAt, progress } = record;
  const status = toStatus(record, now);
  const at = (rank: number, event: string, data: unknown) => ({
    ...{ id: `${turn}.${rank}`, event, data, turn, rank },
  });
  const past = (was: string) => ({ id, type, attempt, state: was });
  const isOpen = state === 'queued' || state === 'scheduled';
  const ran = state === 'running' || (!isOpen && startedAt !== undefined);
  return [
    at(ranks.queued, 'state', isOpen ? status : past('queued')),
    ...(ran ? [at(ranks.running, 'state', state === 'running' ? status : past('running'))] : []),
    ...(progress ? [reported(turn, progress, { id, type, attempt, progress })] : []),
    ...(state === 'waiting' ? [at(ranks.waiting, 'state', status)] : []),
    ...(hasEnded(state) ? [at(ranks.ended, 'state', status)] : []),
  ];
}

const reported = (turn: number, { done }: Progress, data: object) => ({
  ...{ id: `${turn}.${ranks.progress}.${done}`, event: 'progress', data },
  ...{ turn, rank: ranks.progress },
});

async function watchJob(api: EventsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const id = request.params['id'] ?? '';
  const { record: first } = await find(api, id);
  const known = lastEventId(request)?.split('.').map(Number) ?? [];
  let [turn = -1, rank = -1] = known.every(Number.isInteger) ? known : [];
  let told = lastEventId(request);
  return eventStream(api.clock, (send, end) => {
    const tell = (record: JobRecord) => {
      for (const event of eventsOf(record, api.clock.now())) {
        const isNew = event.turn > turn || (event.turn === turn && event.rank > rank);
        const moved =
          event.rank === ranks.progress && event.turn === turn && rank <= ranks.progress;
        if ((!isNew && !moved) || event.id === told) continue;
        send(event);
        told = event.id;
        if (isNew) [turn, rank] = [event.turn, event.rank];
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
  if (!requestedBy) throw new BadRequestError('Say whose jobs to watch: /events?requestedBy=NAME.');
  const last = lastEventId(request);
  const from = last ? new Date(last.slice(0, last.indexOf('_'))) : api.clock.now();
  if (Number.isNaN(from.getTime()))
    throw new BadRequestError('Last-Event-ID is none that was sent here.');
  const missed = last ? await announcedAfter(api.notes, requestedBy, from) : [];
  return eventStream(api.clock, (send) => {
    const told = new Set<string>(last ? [last] : []);
    const tell = (found: Announcement[]) => {
      for (const { id, ...data } of found) {
        if (told.has(id) || id < from.toISOString()) continue;
        told.add(id);
        send({ id, event: `longhaul.job.${data.state}`, data });
      }
    };
    tell(missed);
    return api.ends.watch(requestedBy, tell);
  });
}
