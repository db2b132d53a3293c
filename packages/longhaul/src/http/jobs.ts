/** Jobs over HTTP: submit, status, result, files, list, cancel, and the catalogue. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { submitOnce } from '../admit/idempotency.ts';
import { retry } from '../admit/retry.ts';
import type { Submitting } from '../admit/submit.ts';
import { submitMany } from '../admit/submit-many.ts';
import type { KnownType } from '../define/catalogue.ts';
import {
  BadRequestError,
  FileNotFoundError,
  JobHasNoResultError,
  JobNotFinishedError,
} from '../errors.ts';
import { hasEnded, type JobRecord, type State, states } from '../model/job-record.ts';
import { fileBlob, pathOfJob } from '../model/names.ts';
import { findJobs } from '../operate/find-jobs.ts';
import type { Log, Stored } from '../ports.ts';
import { loadJson } from '../record/claim-check.ts';
import { find } from '../record/find.ts';
import { pause } from '../record/pause.ts';
import { cancel } from '../wait/cancel.ts';
import { tellEvent } from '../wait/tell-event.ts';
import { answerBatch, readBatch } from './batch.ts';
import { jsonSchema } from './json-schema.ts';
import { idempotencyKey, knownTags, pageOf, preferredWaitMs, readJson } from './request.ts';
import { readBody, requestBody, timeSchema, toRequest } from './request-body.ts';
import { json, routesOf } from './route.ts';
import { retryAfterSeconds, toETag, toStatus } from './status.ts';

export interface JobsApi extends Submitting {
  log: Log;
  maxRequestBytes: number;
}

export function registerJobs(api: JobsApi): void {
  const on = routesOf(api);
  on('submit-job', 'POST', 'jobs', postJob, {
    summary: 'Submits a job',
    headers: ['idempotency-key', 'prefer'],
    body: requestBody,
    answers: { 202: 'Status', 200: 'Status' },
  });
  on('submit-jobs', 'POST', 'jobs/batch', postBatch, {
    summary: 'Submits up to 10,000 jobs, each accepted or refused by itself',
    headers: ['idempotency-key'],
    body: requestBody,
    many: true,
    answers: { 200: 'Batch' },
  });
  on('list-jobs', 'GET', 'jobs', listJobs, {
    summary: 'Lists jobs, newest first',
    query: {
      ...{ type: 'of this type', state: 'in this state', key: 'of this key' },
      ...{ parent: 'children of this job', schedule: 'of this schedule' },
      ...{ requestedBy: 'asked for by this one', tag: 'with this tag' },
      ...{ from: 'submitted from this time on', to: 'submitted before this time' },
      ...{ error: "with this in the error's name or message", id: 'with this in the id' },
      ...{ limit: '1 to 1000, default 100', cursor: 'of the page before; one may be empty' },
    },
    answers: { 200: 'Jobs' },
  });
  on('get-job', 'GET', 'jobs/{id}', getJob, {
    summary: 'The state of a job',
    headers: ['prefer', 'if-none-match'],
    answers: { 200: 'Status', 304: 'none' },
  });
  on('get-job-result', 'GET', 'jobs/{id}/result', getResult, {
    summary: 'The result of a job that has succeeded',
    answers: { 200: 'any' },
  });
  on('get-job-file', 'GET', 'jobs/{id}/files/{name}', getFile, {
    summary: 'A file that a job wrote',
    answers: { 200: 'file' },
  });
  on('cancel-job', 'POST', 'jobs/{id}/cancel', postCancel, {
    summary: 'Cancels a job, and its children',
    answers: { 202: 'Status' },
  });
  on('retry-job', 'POST', 'jobs/{id}/retry', postRetry, {
    summary: 'Starts a failed job again from its checkpoint',
    answers: { 202: 'Status' },
  });
  on('send-job-event', 'POST', 'jobs/{id}/events/{name}', postEvent, {
    summary: 'Tells a job an event that it waits for',
    body: 'any',
    answers: { 202: 'Status' },
  });
  on('list-job-types', 'GET', 'job-types', async () => json(200, api.types.all.map(describeType)), {
    summary: 'The job types, with the JSON Schemas of their inputs',
    answers: { 200: 'JobTypes' },
  });
}

async function postJob(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const asked = toRequest(await readJson(request, api.maxRequestBytes));
  const key = idempotencyKey(request);
  const { record, deduplicated, replayed } = await submitOnce(api, asked, key);
  const waitMs = preferredWaitMs(request);
  const latest =
    waitMs === undefined
      ? record
      : ((await waitUntil(api, record.id, waitMs, (now) => hasEnded(now.record.state)))?.record ??
        record);
  const headers = {
    location: pathOfJob(record.id),
    ...(waitMs === undefined ? {} : { 'preference-applied': `wait=${waitMs / 1000}` }),
    ...(replayed ? { 'idempotency-replayed': 'true' } : {}),
  };
  const now = api.clock.now();
  const status = { ...toStatus(latest, now), ...(deduplicated ? { deduplicated } : {}) };
  if (hasEnded(latest.state)) return json(200, status, headers);
  const retryAfter = String(retryAfterSeconds(latest, now));
  return json(202, status, { ...headers, 'retry-after': retryAfter });
}

async function postBatch(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const items = await readBatch(request, api.maxRequestBytes);
  const all = items.map((item) => () => toRequest(item));
  const results = await submitMany(api, all, idempotencyKey(request));
  return answerBatch(results, ({ record: { id }, deduplicated }) => ({
    status: 202,
    id,
    ...(deduplicated ? { deduplicated } : {}),
    links: { self: pathOfJob(id) },
  }));
}

async function getJob(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const id = idOf(request);
  const known = knownTags(request);
  const first = await find(api, id);
  const firstTag = toETag(first.etag ?? '');
  const waitMs = preferredWaitMs(request);
  const isNews = (now: Stored) => {
    const etag = toETag(now.etag ?? '');
    return hasEnded(now.record.state) || (known.any ? !known.has(etag) : etag !== firstTag);
  };
  const latest =
    waitMs === undefined ? first : ((await waitUntil(api, id, waitMs, isNews)) ?? first);
  const etag = toETag(latest.etag ?? '');
  const headers = {
    etag,
    ...(waitMs === undefined ? {} : { 'preference-applied': `wait=${waitMs / 1000}` }),
    ...(hasEnded(latest.record.state)
      ? {}
      : { 'retry-after': String(retryAfterSeconds(latest.record, api.clock.now())) }),
  };
  if (known.has(etag)) return { status: 304, headers };
  return json(200, toStatus(latest.record, api.clock.now()), headers);
}

const pollFirstMs = 5;
const pollLastMs = 500;

/** Reads the record, ever less often, until it is what the caller waits for or the time is over. */
async function waitUntil(
  { records, clock }: JobsApi,
  id: string,
  waitMs: number,
  isIt: (stored: Stored) => boolean,
): Promise<Stored | undefined> {
  const until = clock.now().getTime() + waitMs;
  for (let ms = pollFirstMs; ; ms = Math.min(ms * 1.5, pollLastMs)) {
    const stored = await records.read(id);
    const left = until - clock.now().getTime();
    if ((stored && isIt(stored)) || left <= 0) return stored;
    await pause(clock, Math.min(ms, left));
  }
}

async function getResult(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const { record } = await find(api, idOf(request));
  if (record.state === 'succeeded' && record.result) {
    const body = await loadJson(api.blobs, record.result);
    return { status: 200, body, headers: { 'content-type': 'application/json' } };
  }
  if (!hasEnded(record.state)) throw new JobNotFinishedError(record.id, record.state);
  const { name, message, code } = record.error ?? {};
  throw new JobHasNoResultError(record.id, record.state, { name, message, code });
}

async function getFile(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const id = idOf(request);
  const name = request.params['name'] ?? '';
  await find(api, id);
  const file = await api.blobs.read(fileBlob(id, name));
  if (!file) throw new FileNotFoundError(id, name);
  return {
    status: 200,
    body: file.content,
    headers: {
      'content-type': file.contentType,
      // What a job wrote is data: no browser is to run it.
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name)}`,
    },
  };
}

function accepted({ clock }: JobsApi, record: JobRecord): HttpResponseInit {
  const now = clock.now();
  const retryAfter = String(retryAfterSeconds(record, now));
  const headers = { location: pathOfJob(record.id), 'retry-after': retryAfter };
  return json(202, toStatus(record, now), headers);
}

async function postCancel(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  return accepted(api, await cancel(api, idOf(request)));
}

async function postRetry(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  return accepted(api, await retry(api, idOf(request)));
}

async function postEvent(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const payload = await readJson(request, api.maxRequestBytes);
  const record = await tellEvent(api, idOf(request), request.params['name'] ?? '', payload);
  return accepted(api, record);
}

async function listJobs(api: JobsApi, request: HttpRequest): Promise<HttpResponseInit> {
  const page = pageOf(request);
  const { text } = page;
  const state = text('state');
  if (state !== undefined && !states.includes(state as State))
    throw new BadRequestError(`There is no state '${state}': ask for ${states.join(', ')}.`);
  const time = (name: string) => {
    const given = text(name);
    return given === undefined ? undefined : new Date(readBody(timeSchema, given, name));
  };
  const wanted = {
    ...{ type: text('type'), state: state as State | undefined, key: text('key') },
    ...{ parent: text('parent'), schedule: text('schedule'), tag: text('tag') },
    ...{ requestedBy: text('requestedBy'), error: text('error'), id: text('id') },
    ...{ from: time('from'), to: time('to') },
  };
  const { records, cursor, searchedTo } = await findJobs(api, wanted, page.limit, page.cursor);
  const now = api.clock.now();
  const jobs = records.map((record) => toStatus(record, now));
  return json(200, { jobs, ...(cursor ? { cursor, searchedTo } : {}) });
}

const idOf = (request: HttpRequest) => request.params['id'] ?? '';

function describeType({ definition, policy }: KnownType) {
  const { type, formerly = [], startBefore, schedules = [] } = definition;
  return {
    type,
    formerly,
    lane: policy.lane.name,
    priorities: policy.priorities.map(({ name }) => name),
    keyed: definition.key !== undefined,
    ...(definition.key ? { limit: policy.limit, ordered: policy.ordered } : {}),
    timeout: policy.timeout,
    attempts: policy.attempts,
    startBefore,
    keep: policy.keep,
    schedules: schedules.map(({ id }) => id),
    events: Object.fromEntries(
      Object.entries(definition.events ?? {}).map(([name, schema]) => [
        name,
        jsonSchema(schema, 'input'),
      ]),
    ),
    input: jsonSchema(definition.input, 'input'),
    ...(definition.output ? { output: jsonSchema(definition.output, 'output') } : {}),
  };
}
