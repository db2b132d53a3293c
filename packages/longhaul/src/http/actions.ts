/** Actions on many jobs over HTTP. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { z } from 'zod';
import { BadRequestError } from '../errors.ts';
import { pathOfJob } from '../model/names.ts';
import { countMeant, deeds, jobFilter, startAction } from '../operate/action.ts';
import { removeJob } from '../operate/remove.ts';
import type { Working } from '../run/attempt.ts';
import { readJson } from './request.ts';
import { readBody, textOf } from './request-body.ts';
import { json, routesOf } from './route.ts';
import { toStatus } from './status.ts';

type ActionsApi = Working & { maxRequestBytes: number };

const body = z.strictObject({
  do: z.enum(deeds),
  filter: jobFilter,
  /** So many a second; 100 if it is not said. */
  pace: z.number().min(0.01).max(1000).optional(),
  by: textOf(256).optional(),
  why: textOf(500).optional(),
  /** Only counts them. */
  dryRun: z.boolean().optional(),
});

export function registerActions(api: ActionsApi): void {
  const on = routesOf(api);
  on('act-on-jobs', 'POST', 'actions', post, {
    summary:
      'Retries, cancels or deletes all jobs that a filter means: a job that says how far it is, and can be cancelled',
    body,
    answers: { 202: 'Status', 200: 'Count' },
  });
  on('delete-job', 'DELETE', 'jobs/{id}', remove, {
    summary: 'Removes a job that has ended, at once: its record, its files, its claims',
    answers: { 204: 'none' },
  });
}

const usualPace = 100;

async function post(api: ActionsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const given = readBody(body, await readJson(request, api.maxRequestBytes), 'action');
  const { pace = usualPace, dryRun, by, why, ...what } = given;
  if (Object.keys(what.filter).length === 0)
    throw new BadRequestError('The filter is empty: say which jobs are meant, such as by state.', [
      { pointer: '/filter', message: 'is empty' },
    ]);
  if (dryRun) return json(200, await countMeant(api, what));
  const more = { pace, ...(by ? { by } : {}), ...(why ? { why } : {}) };
  const record = await startAction(api, { ...what, ...more });
  const location = pathOfJob(record.id);
  return json(202, toStatus(record, api.clock.now()), { location, 'retry-after': '1' });
}

async function remove(api: ActionsApi, { params }: HttpRequest): Promise<HttpResponseInit> {
  await removeJob(api, params['id'] ?? '');
  return { status: 204 };
}
