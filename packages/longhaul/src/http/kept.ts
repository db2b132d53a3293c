/** What is kept of a job beside its status, over HTTP: its input, what it did when, and what it logged. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import type { Submitting } from '../admit/submit.ts';
import { BadRequestError } from '../errors.ts';
import { entriesOf } from '../handler/checkpoint.ts';
import { find } from '../record/find.ts';
import { shownInput } from '../record/kept-input.ts';
import { readLines } from '../record/log-lines.ts';
import { pageOf } from './request.ts';
import { json, routesOf } from './route.ts';
import { toTimeline } from './timeline.ts';

export function registerKept(api: Submitting): void {
  const on = routesOf(api);
  on('get-job-input', 'GET', 'jobs/{id}/input', getInput, {
    summary: 'What a job was given, without what its type hides',
    answers: { 200: 'any' },
  });
  on('get-job-timeline', 'GET', 'jobs/{id}/timeline', getTimeline, {
    summary: 'What a job did when: attempts, steps, waits, children and undo, as a tree of spans',
    answers: { 200: 'Timeline' },
  });
  on('get-job-log', 'GET', 'jobs/{id}/log', getLog, {
    summary: 'What a job logged, the oldest line first',
    query: { after: 'of the page before, also to hear of what came since', limit: '1 to 1000' },
    answers: { 200: 'Log' },
  });
}

async function getLog(api: Submitting, request: HttpRequest): Promise<HttpResponseInit> {
  const { limit } = pageOf(request);
  const after = request.query.get('after') ?? '0';
  if (!/^\d{1,9}$/.test(after))
    throw new BadRequestError('after is the number that the page before gave.');
  const { record } = await find(api, request.params['id'] ?? '');
  const page = await readLines(api.blobs, record.id, Number(after), limit);
  return json(200, { state: record.state, ...page });
}

async function getTimeline(api: Submitting, request: HttpRequest): Promise<HttpResponseInit> {
  const { record } = await find(api, request.params['id'] ?? '');
  return json(200, toTimeline(record, await entriesOf(api.blobs, record)));
}

async function getInput(api: Submitting, request: HttpRequest): Promise<HttpResponseInit> {
  const { record } = await find(api, request.params['id'] ?? '');
  return json(200, await shownInput(api.blobs, record, api.types.find(record.type)));
}
