/** The shapes of what the API answers, for its description; a test holds real answers against them. */
import { z } from 'zod';
import { states } from '../model/job-record.ts';
import { levels } from '../record/log-lines.ts';
import { pauseScopes } from '../record/pauses.ts';

const time = z.iso.datetime();
const error = z.looseObject({
  name: z.string(),
  message: z.string(),
  code: z.string().optional(),
});

const Status = z.looseObject({
  id: z.string(),
  type: z.string(),
  state: z.enum(states),
  lane: z.string(),
  attempt: z.int().min(1),
  createdAt: time,
  runAt: time.optional(),
  startedAt: time.optional(),
  finishedAt: time.optional(),
  keepUntil: time.optional(),
  key: z.string().optional(),
  requestedBy: z.string().optional(),
  tags: z.array(z.string()).optional(),
  version: z.string().optional(),
  parent: z.string().optional(),
  schedule: z.string().optional(),
  progress: z
    .looseObject({ done: z.number(), of: z.number().optional(), note: z.string().optional() })
    .optional(),
  result: z.unknown().optional(),
  error: error.optional(),
  history: z.array(z.looseObject({ attempt: z.int(), endedAt: time, error })).optional(),
  deduplicated: z.boolean().optional(),
  links: z.looseObject({ self: z.string() }),
});

const span = z.looseObject({
  kind: z.enum([
    ...(['job', 'queue', 'attempt', 'undo'] as const),
    ...(['step', 'checkpoint', 'sleep', 'event', 'children'] as const),
  ]),
  begin: time,
  end: time.optional(),
});
const Timeline = z.looseObject({
  ...span.shape,
  id: z.string(),
  state: z.enum(states),
  version: z.string().optional(),
  /** Attempts, the time in a queue before each, and undo; an attempt has its steps and waits as `spans`. */
  spans: z.array(z.looseObject({ ...span.shape, spans: z.array(span).optional() })),
});

const run = z.looseObject({ at: time, state: z.string(), job: z.string().optional() });
const Schedule = z.looseObject({
  id: z.string(),
  type: z.string(),
  enabled: z.boolean(),
  next: z.array(time),
  counts: z.record(z.string(), z.int()),
  history: z.array(run),
  last: run.optional(),
  links: z.looseObject({ self: z.string() }),
});

const Pause = z.looseObject({
  scope: z.enum(pauseScopes),
  name: z.string(),
  state: z.enum(['paused', 'resuming']),
  at: time,
  by: z.string().optional(),
  why: z.string().optional(),
  until: time.optional(),
  /** How many jobs wait for it; a thousand stands for more. */
  waiting: z.int(),
});

const Letter = z.looseObject({
  queue: z.string(),
  sequence: z.int(),
  id: z.string().optional(),
  type: z.string(),
  reason: z.string().optional(),
  description: z.string().optional(),
  enqueuedAt: time.optional(),
  /** The text that was sent, of which what is over 4,000 characters is left out. */
  body: z.string(),
  /** What the record says now; none for a message that was no job's. */
  job: Status.optional(),
});

const queue = z.looseObject({
  queue: z.string(),
  active: z.int(),
  scheduled: z.int(),
  deadLetters: z.int(),
  oldestAt: time.optional(),
});
const worker = z.looseObject({
  id: z.string(),
  app: z.string(),
  version: z.string(),
  instance: z.string(),
  lanes: z.array(z.string()),
  since: time,
  at: time,
  places: z.int(),
  running: z.int(),
  jobs: z.array(z.looseObject({ job: z.string(), type: z.string(), since: time })),
});

export const answers = {
  Queues: z.object({
    lanes: z.array(
      z.looseObject({
        lane: z.string(),
        queues: z.array(queue),
        workers: z.int(),
        places: z.int(),
      }),
    ),
  }),
  Errors: z.object({
    groups: z.array(
      z.looseObject({
        ...{ type: z.string(), error: z.string(), at: z.string(), message: z.string() },
        ...{ count: z.int(), firstAt: time, lastAt: time, job: z.string() },
      }),
    ),
    /** False when there were too many to see them all in two seconds. */
    isWhole: z.boolean(),
    searchedTo: time.optional(),
  }),
  Count: z.object({ count: z.int(), isWhole: z.boolean() }),
  Workers: z.object({ workers: z.array(worker) }),
  Why: z.object({
    state: z.enum(states),
    reasons: z.array(z.looseObject({ code: z.string(), message: z.string() })),
  }),
  Status,
  Schedule,
  Jobs: z.object({
    jobs: z.array(Status),
    cursor: z.string().optional(),
    /** With a cursor: what was submitted since was looked through. */
    searchedTo: time.optional(),
  }),
  Schedules: z.object({ schedules: z.array(Schedule), cursor: z.string().optional() }),
  Pause,
  Letters: z.object({ letters: z.array(Letter), cursor: z.string().optional() }),
  LetterGroups: z.object({
    groups: z.array(
      z.looseObject({ queue: z.string(), reason: z.string(), type: z.string(), count: z.int() }),
    ),
    /** False when there were too many to count them all. */
    isWhole: z.boolean(),
  }),
  Timeline,
  Log: z.object({
    state: z.enum(states),
    lines: z.array(
      z.looseObject({
        at: time,
        level: z.enum(levels),
        message: z.string(),
        attempt: z.int(),
        fields: z.unknown().optional(),
      }),
    ),
    /** Where to go on, also when there are no more lines yet. */
    after: z.int(),
  }),
  Pauses: z.object({ pauses: z.array(Pause) }),
  Batch: z.object({
    accepted: z.int(),
    refused: z.int(),
    results: z.array(z.looseObject({ status: z.int(), id: z.string().optional() })),
  }),
  JobTypes: z.array(z.looseObject({ type: z.string(), lane: z.string() })),
  Health: z.looseObject({ status: z.string() }),
  /** RFC 9457. */
  Problem: z.looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
  }),
} as const;

export type AnswerName = keyof typeof answers;
