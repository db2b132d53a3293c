/** Schedules over HTTP. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { nextTimes } from '../define/times.ts';
import { BadRequestError } from '../errors.ts';
import { pathOfJob } from '../model/names.ts';
import type { Schedule } from '../model/schedule.ts';
import type { Scheduling } from '../schedules/apply.ts';
import {
  findSchedule,
  patchSchedule,
  putMany,
  putSchedule,
  removeSchedule,
  runNow,
} from '../schedules/change.ts';
import { answerBatch, readBatch } from './batch.ts';
import { idempotencyKey, pageOf, readJson } from './request.ts';
import { json, routesOf } from './route.ts';
import {
  namedScheduleBody,
  patched,
  scheduleBody,
  toDefinition,
  toNamedDefinition,
} from './schedule-body.ts';
import { toStatus } from './status.ts';

export interface SchedulesApi extends Scheduling {
  maxRequestBytes: number;
}

export function registerSchedules(api: SchedulesApi): void {
  const on = routesOf(api);
  on('list-schedules', 'GET', 'schedules', list, {
    summary: 'Lists schedules, each with its next five times',
    query: {
      ...{ type: 'of this job type', tenant: 'of this tenant', enabled: 'true or false' },
      ...{ limit: '1 to 1000, default 100', cursor: 'of the page before; one may be empty' },
    },
    answers: { 200: 'Schedules' },
  });
  on('put-schedules', 'POST', 'schedules/batch', putBatch, {
    summary: 'Makes or changes up to 10,000 schedules, each validated individually',
    body: namedScheduleBody,
    many: true,
    answers: { 200: 'Batch' },
  });
  on('get-schedule', 'GET', 'schedules/{id}', get, {
    summary: 'A schedule with its history and its next five times',
    answers: { 200: 'Schedule' },
  });
  on('put-schedule', 'PUT', 'schedules/{id}', put, {
    summary: 'Makes a schedule, or changes it as a whole',
    body: scheduleBody,
    answers: { 200: 'Schedule', 201: 'Schedule' },
  });
  on('patch-schedule', 'PATCH', 'schedules/{id}', patch, {
    summary: 'Changes some of a schedule (JSON merge patch): `{"enabled": false}` pauses it',
    body: 'any',
    answers: { 200: 'Schedule' },
  });
  on('delete-schedule', 'DELETE', 'schedules/{id}', remove, {
    summary: 'Removes a schedule',
    answers: { 204: 'none' },
  });
  on('run-schedule', 'POST', 'schedules/{id}/run', run, {
    summary: 'Runs a schedule now',
    headers: ['idempotency-key'],
    answers: { 202: 'Status' },
  });
}

const idOf = (request: HttpRequest) => request.params['id'] ?? '';

async function put(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const definition = toDefinition(await readJson(request, api.maxRequestBytes));
  const { schedule, created } = await putSchedule(api, idOf(request), definition);
  return json(created ? 201 : 200, show(schedule), { location: pathOf(schedule) });
}

async function get(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const { schedule } = await findSchedule(api, idOf(request));
  return json(200, show(schedule));
}

async function patch(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const changes = await readJson(request, api.maxRequestBytes);
  return json(
    200,
    show(await patchSchedule(api, idOf(request), (known) => patched(known, changes))),
  );
}

async function remove(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  await removeSchedule(api, idOf(request));
  return { status: 204 };
}

async function run(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const record = await runNow(api, idOf(request), idempotencyKey(request));
  const location = pathOfJob(record.id);
  return json(202, toStatus(record, api.clock.now()), { location, 'retry-after': '1' });
}

async function putBatch(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const items = await readBatch(request, api.maxRequestBytes);
  const all = items.map((item) => () => toNamedDefinition(item));
  return answerBatch(await putMany(api, all), ({ schedule: { id }, created }) => ({
    status: created ? 201 : 200,
    id,
  }));
}

async function list(api: SchedulesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const { limit, text, cursor } = pageOf(request);
  const enabled = text('enabled');
  if (enabled !== undefined && enabled !== 'true' && enabled !== 'false')
    throw new BadRequestError('enabled is true or false.');
  const filter = {
    type: text('type'),
    tenant: text('tenant'),
    ...(enabled === undefined ? {} : { enabled: enabled === 'true' }),
  };
  const found = await api.schedules.list(filter, limit, cursor);
  const schedules = found.schedules.map(show);
  return json(200, { schedules, ...(found.cursor ? { cursor: found.cursor } : {}) });
}

const pathOf = ({ id }: Schedule) => `/api/schedules/${id}`;
const timesShown = 5;

function show(schedule: Schedule) {
  const { id, nextAt: _n, early: _e, salt: _s, running, ...known } = schedule;
  const last = schedule.history.findLast(({ state }) => !['skipped', 'missed'].includes(state));
  const self = pathOf(schedule);
  return {
    id,
    ...known,
    ...(running ? { running: { job: running.job, since: running.since } } : {}),
    ...(last ? { last } : {}),
    next: nextTimes(schedule, timesShown),
    links: { self, run: `${self}/run`, jobs: `/api/jobs?schedule=${id}` },
  };
}
