/** The state of things over HTTP: queues, workers, and why a job waits. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { lookAtLanes } from '../operate/queues.ts';
import { why } from '../operate/why.ts';
import type { Working } from '../run/attempt.ts';
import { workersHeardOf } from '../run/heartbeat.ts';
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
  on('why-job', 'GET', 'jobs/{id}/why', getWhy, {
    summary: 'Why a job is not further than it is',
    answers: { 200: 'Why' },
  });
}

const queues = async (api: Working): Promise<HttpResponseInit> =>
  json(200, { lanes: await lookAtLanes(api) });

const workers = async (api: Working): Promise<HttpResponseInit> =>
  json(200, { workers: await workersHeardOf(api) });

const getWhy = async (api: Working, { params }: HttpRequest): Promise<HttpResponseInit> =>
  json(200, await why(api, params['id'] ?? ''));
