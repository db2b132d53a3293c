/** The state of things over HTTP: queues, workers, and why a job waits. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { groupFailures } from '../operate/failures.ts';
import { lookAtLanes } from '../operate/queues.ts';
import { why } from '../operate/why.ts';
import type { Working } from '../run/attempt.ts';
import { workersHeardOf } from '../run/heartbeat.ts';
import { pageOf } from './request.ts';
import { readBody, timeSchema } from './request-body.ts';
import { json, routesOf } from './route.ts';

export function registerState(api: Working): void {
  const on = routesOf(api);
  on('list-queues', 'GET', 'queues', queues, {
    summary: 'What lies in each lane (a thousand stands for more), and who serves it',
    answers: { 200: 'Queues' },
  });
  on('list-workers', 'GET', 'workers', workers, {
    summary: 'The worker processes that were heard of in the last two minutes, and what they run',
    answers: { 200: 'Workers' },
  });
  on('group-errors', 'GET', 'errors', errors, {
    summary: 'Failed jobs by type, error and line, the most frequent first',
    query: {
      type: 'of this job type',
      ...{ from: 'submitted from this time on', to: 'submitted before this time' },
    },
    answers: { 200: 'Errors' },
  });
  on('why-job', 'GET', 'jobs/{id}/why', getWhy, {
    summary: 'Why a job is not further than it is',
    answers: { 200: 'Why' },
  });
}

const queues = async (api: Working): Promise<HttpResponseInit> =>
  json(200, { lanes: await lookAtLanes(api) });

const workers = async (api: Working): Promise<HttpResponseInit> =>
  json(200, { workers: await workersHeardOf(api) });

async function errors(api: Working, request: HttpRequest): Promise<HttpResponseInit> {
  const { text } = pageOf(request);
  const time = (name: string) => {
    const given = text(name);
    if (given === undefined) return undefined;
    return new Date(readBody(timeSchema, given, name));
  };
  const filter = { type: text('type'), from: time('from'), to: time('to') };
  return json(200, await groupFailures(api, filter));
}

const getWhy = async (api: Working, { params }: HttpRequest): Promise<HttpResponseInit> =>
  json(200, await why(api, params['id'] ?? ''));
