/** Pauses of types and lanes over HTTP. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { z } from 'zod';
import { BadRequestError } from '../errors.ts';
import { type Duration, durationSchema, toMs } from '../model/duration.ts';
import { countParked, pause, resume, sendParked } from '../operate/pause.ts';
import { type Pause, type PauseScope, pauseScopes } from '../record/pauses.ts';
import type { Working } from '../run/attempt.ts';
import { readJson } from './request.ts';
import { readBody, textOf, timeSchema } from './request-body.ts';
import { json, routesOf } from './route.ts';

type PausesApi = Working & { maxRequestBytes: number };

const body = z.strictObject({
  by: textOf(256).optional(),
  why: textOf(500).optional(),
  /** When it ends by itself: a time, or a span from now. */
  until: z.union([timeSchema, durationSchema]).optional(),
});

export function registerPauses(api: PausesApi): void {
  const on = routesOf(api);
  on('list-pauses', 'GET', 'pauses', list, {
    summary: 'What is paused, by whom and why, and how many jobs wait for it',
    answers: { 200: 'Pauses' },
  });
  on('pause', 'PUT', 'pauses/{scope}/{name}', put, {
    summary: 'Pauses a type or a lane: `type` or `lane` and its name. Jobs are taken in and wait',
    body,
    answers: { 200: 'Pause' },
  });
  on('resume', 'DELETE', 'pauses/{scope}/{name}', remove, {
    summary: 'Resumes it: what waits is sent on in its order',
    answers: { 202: 'Pause' },
  });
}

function targetOf({ params }: HttpRequest): { scope: PauseScope; name: string } {
  const scope = pauseScopes.find((one) => one === params['scope']);
  if (!scope) throw new BadRequestError(`A ${pauseScopes.join(' or a ')} can be paused.`);
  return { scope, name: params['name'] ?? '' };
}

async function put(api: PausesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const { until, by, why } = readBody(body, await readJson(request, api.maxRequestBytes), 'pause');
  const paused = await pause(api, targetOf(request), {
    ...(by ? { by } : {}),
    ...(why ? { why } : {}),
    ...(until ? { until: timeOf(until, api.clock.now()) } : {}),
  });
  return json(200, await show(api, paused));
}

function timeOf(until: string, now: Date): string {
  const isSpan = durationSchema.safeParse(until).success;
  const at = isSpan ? new Date(now.getTime() + toMs(until as Duration)) : new Date(until);
  if (at > now) return at.toISOString();
  throw new BadRequestError('until has passed.', [{ pointer: '/until', message: 'has passed' }]);
}

// The timer does the rest.
const atOnceMs = 2_000;

async function remove(api: PausesApi, request: HttpRequest): Promise<HttpResponseInit> {
  const resuming = await resume(api, targetOf(request));
  await sendParked(api, atOnceMs);
  return json(202, await show(api, resuming), { location: '/api/pauses' });
}

async function list(api: PausesApi): Promise<HttpResponseInit> {
  const all = await api.pauses.all();
  return json(200, { pauses: await Promise.all(all.map((one) => show(api, one))) });
}

async function show(api: PausesApi, { id: _, resuming, ...known }: Pause) {
  const waiting = await countParked(api, known);
  return { ...known, state: resuming ? 'resuming' : 'paused', waiting };
}
