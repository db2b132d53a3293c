/** What is kept of a job beside its status, over HTTP: its input, and what it did when. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import type { Submitting } from '../admit/submit.ts';
import { entriesOf } from '../handler/checkpoint.ts';
import { find } from '../record/find.ts';
import { shownInput } from '../record/kept-input.ts';
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
}

async function getTimeline(api: Submitting, request: HttpRequest): Promise<HttpResponseInit> {
  const { record } = await find(api, request.params['id'] ?? '');
  return json(200, toTimeline(record, await entriesOf(api.blobs, record)));
}

async function getInput(api: Submitting, request: HttpRequest): Promise<HttpResponseInit> {
  const { record } = await find(api, request.params['id'] ?? '');
  return json(200, await shownInput(api.blobs, record, api.types.find(record.type)));
}
