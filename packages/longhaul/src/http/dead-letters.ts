/** Dead letters over HTTP: looked at, sent on, dropped. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import { z } from 'zod';
import type { KnownType } from '../define/catalogue.ts';
import { fromJson } from '../define/json.ts';
import { redacted } from '../define/redact.ts';
import { BadRequestError } from '../errors.ts';
import { pathOfJob } from '../model/names.ts';
import { groupLetters, listLetters, type SeenLetter, typeOf } from '../operate/letters.ts';
import { letterFilter, type RedriveInput, redrive } from '../operate/redrive.ts';
import type { Working } from '../run/attempt.ts';
import { pageOf, readJson } from './request.ts';
import { readBody, textOf } from './request-body.ts';
import { json, routesOf } from './route.ts';
import { toStatus } from './status.ts';

type LettersApi = Working & { maxRequestBytes: number };

const query = {
  ...{ lane: 'of this lane', queue: 'in this queue', reason: 'given up for this reason' },
  ...{ type: 'of this job type', error: 'with this in the description' },
};

const body = letterFilter.extend({
  /** So many a second; 50 if it is not said. */
  pace: z.number().min(0.01).max(1000).optional(),
  by: textOf(256).optional(),
  why: textOf(500).optional(),
  /** Only counts them. */
  dryRun: z.boolean().optional(),
});
const discardBody = body.extend({ why: textOf(500) });

export function registerDeadLetters(api: LettersApi): void {
  const on = routesOf(api);
  on('list-dead-letters', 'GET', 'dead-letters', list, {
    summary: 'Messages that were given up on, oldest first, with what became of their jobs',
    query: { ...query, limit: '1 to 1000, default 100', cursor: 'of the page before' },
    answers: { 200: 'Letters' },
  });
  on('group-dead-letters', 'GET', 'dead-letters/groups', groups, {
    summary: 'How many there are by queue, reason, type and error',
    query,
    answers: { 200: 'LetterGroups' },
  });
  on('redrive-dead-letters', 'POST', 'dead-letters/redrive', post('redrive', body), {
    summary:
      'Starts their jobs again, at a pace: a job that says how far it is, and can be cancelled',
    body,
    answers: { 202: 'Status', 200: 'LetterGroups' },
  });
  on('discard-dead-letters', 'POST', 'dead-letters/discard', post('discard', discardBody), {
    summary: 'Drops them, with a reason; their records stay as they are',
    body: discardBody,
    answers: { 202: 'Status', 200: 'LetterGroups' },
  });
}

function filterOf(request: HttpRequest) {
  const { text, ...page } = pageOf(request);
  const names = Object.keys(query) as (keyof typeof query)[];
  return { ...page, filter: Object.fromEntries(names.map((name) => [name, text(name)])) };
}

async function list(api: LettersApi, request: HttpRequest): Promise<HttpResponseInit> {
  const { filter, limit, cursor } = filterOf(request);
  const { letters, next } = await listLetters(api, filter, limit, fromCursor(cursor));
  return json(200, {
    letters: letters.map((one) => show(api, one)),
    ...(next ? { cursor: toCursor(next) } : {}),
  });
}

const groups = async (api: LettersApi, request: HttpRequest): Promise<HttpResponseInit> =>
  json(200, await groupLetters(api, filterOf(request).filter));

// A person that looks on can follow it, and a database that was down is not run over.
const usualPace = 50;

const post =
  (what: RedriveInput['do'], schema: typeof body | typeof discardBody) =>
  async (api: LettersApi, request: HttpRequest): Promise<HttpResponseInit> => {
    const given = readBody(
      schema,
      await readJson(request, api.maxRequestBytes),
      `${what} of dead letters`,
    );
    const { pace = usualPace, by, why, dryRun, ...filter } = given;
    if (dryRun) return json(200, await groupLetters(api, filter));
    const record = await redrive(api, {
      ...{ do: what, filter, pace },
      ...(by ? { by } : {}),
      ...(why ? { why } : {}),
    });
    return json(202, toStatus(record, api.clock.now()), {
      location: pathOfJob(record.id),
      'retry-after': '1',
    });
  };

const bodyChars = 4_000;

function show({ types, clock }: LettersApi, { queue, letter, record }: SeenLetter) {
  const { sequence, message, reason, description } = letter;
  const known = types.find(typeOf(letter));
  return {
    ...{ queue, sequence, id: message.messageId, type: typeOf(letter), reason, description },
    enqueuedAt: message.enqueuedAt?.toISOString(),
    body: shownBody(message.body.toString('utf8'), known).slice(0, bodyChars),
    ...(record ? { job: toStatus(record, clock.now()) } : {}),
  };
}

/** Without what its type hides; of a type that is not here nobody knows what that is. */
function shownBody(text: string, known: KnownType | undefined): string {
  const { redact = [] } = known?.definition ?? {};
  if (redact.length === 0) return text;
  try {
    return JSON.stringify(redacted(fromJson(text), redact));
  } catch {
    return '';
  }
}

const toCursor = ({ queue, after }: { queue: string; after: number }): string =>
  `${after}:${queue}`;

function fromCursor(cursor: string | undefined) {
  if (cursor === undefined) return undefined;
  const [, after, queue] = /^(\d{1,16}):(.{1,260})$/.exec(cursor) ?? [];
  if (after !== undefined && queue !== undefined) return { queue, after: Number(after) };
  throw new BadRequestError('The cursor cannot be read.', [
    { pointer: '/cursor', message: 'is not one that a page before gave' },
  ]);
}
