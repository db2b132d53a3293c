/** A job of ours that goes through dead letters: starts their jobs again, or drops them, at a pace. */
import { z } from 'zod';
import { isRetriedBy, retry } from '../admit/retry.ts';
import { submit } from '../admit/submit.ts';
import { defineJob, type Job } from '../define/define-job.ts';
import { fromJson } from '../define/json.ts';
import { isRefusal } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { LetterReader, TakenLetter } from '../ports.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import type { Working } from '../run/attempt.ts';
import { isMeant, jobOf, queuesOf, typeOf } from './letters.ts';
import { Pace } from './pace.ts';

export const redriveType = 'longhaul.redrive';

export const letterFilter = z.strictObject({
  lane: z.string().max(260).optional(),
  queue: z.string().max(260).optional(),
  sequences: z.array(z.int().min(0)).max(1000).optional(),
  reason: z.string().max(4096).optional(),
  type: z.string().max(100).optional(),
  error: z.string().max(500).optional(),
});

const input = z.strictObject({
  do: z.enum(['redrive', 'discard']),
  filter: letterFilter,
  /** So many a second. */
  pace: z.number().min(0.01).max(1000),
  by: z.string().optional(),
  why: z.string().optional(),
});

export type RedriveInput = z.output<typeof input>;

/** Starts the job, which says how far it is. */
export async function redrive(app: Working, given: RedriveInput): Promise<JobRecord> {
  queuesOf(app, given.filter);
  const options = given.by === undefined ? {} : { requestedBy: given.by };
  return (await submit(app, { type: redriveType, input: given, options }, { own: true })).record;
}

type Told = { sent: number; dropped: number; left: number; refused: string[] };

/** `app` is there once a job runs. */
export const redriveJob = (app: () => Working) =>
  defineJob({
    type: redriveType,
    input,
    // Slow ones are not to take the places of the lane's own jobs.
    key: () => 'longhaul',
    limit: 4,
    timeout: '10m',
    // It finds what is left by itself: an attempt that ran out of time is no failure to tell.
    attempts: 100,
    backoff: { initial: '1s', max: '5s' },
    async run(given, job): Promise<Told> {
      const told: Told = { sent: 0, dropped: 0, left: 0, refused: [] };
      for (const queue of queuesOf(app(), given.filter)) {
        const letters = app().queue.openDeadLetters(queue);
        try {
          await goThrough({ app: app(), given, job, told }, letters);
        } finally {
          await letters.close();
        }
      }
      return told;
    },
  });

interface Going {
  app: Working;
  given: RedriveInput;
  job: Pick<Job, 'id' | 'signal' | 'progress' | 'log'>;
  told: Told;
}

// They are held until the end, so that the broker does not hand them over again.
const mostHeld = 5_000;
const atOnce = 50;

async function goThrough(going: Going, letters: LetterReader): Promise<void> {
  const { given, job, told } = going;
  const pace = new Pace(going.app.clock, given.pace);
  for (let held = 0; ; ) {
    const page = await letters.next(atOnce);
    if (page.length === 0) return;
    for (const letter of page) {
      job.signal.throwIfAborted();
      const isAsked = isMeant(given.filter, letter);
      if (isAsked) await pace.next(job.signal);
      if (!isAsked || !(await takeOne(going, letter))) held++;
    }
    await job.progress({ done: told.sent + told.dropped, note: note(told) });
    if (held > mostHeld)
      throw new Error(`${mostHeld} dead letters lie before what is asked for: discard some first.`);
  }
}

const note = ({ sent, dropped, left }: Told): string =>
  `${sent} sent on, ${dropped} dropped, ${left} left`;

/** True when it left the queue. */
async function takeOne(going: Going, letter: TakenLetter): Promise<boolean> {
  const { given, job, told } = going;
  const done = given.do === 'discard' ? 'dropped' : await sendOn(going, letter);
  told[done]++;
  if (done === 'left') return false;
  const why = given.why ? `: ${given.why}` : '';
  const by = given.by ? ` by ${given.by}` : '';
  job.log(`${letter.message.queue} ${letter.sequence} (${typeOf(letter)}) ${done}${by}${why}`);
  // Crash here: its job goes on, and the letter is dropped the next time.
  await letter.remove();
  return true;
}

/** `dropped`: its job has gone on without it. */
async function sendOn(
  { app, job, told }: Going,
  letter: TakenLetter,
): Promise<'sent' | 'dropped' | 'left'> {
  const message = jobOf(app, letter);
  const record = message && (await app.records.read(message.id))?.record;
  try {
    if (!message || !record) {
      if (message && (await app.removal.removed(message.id))) return 'dropped';
      await submitAnew(app, letter);
      return 'sent';
    }
    if (message.turn < record.turn) return 'dropped';
    if (record.state !== 'failed') return record.state === 'queued' ? 'left' : 'dropped';
    // Failed again since it was started by this one.
    if (isRetriedBy(record, job.id)) return 'left';
    await retryOnConflict(() => retry(app, message.id, job.id));
    return 'sent';
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (told.refused.length < 20) told.refused.push(`${letter.sequence}: ${error.message}`);
    return 'left';
  }
}

/** One that was no job's: what it carries is submitted like any request. @throws what `submit` throws */
async function submitAnew(app: Working, letter: TakenLetter): Promise<void> {
  const text = letter.message.body.toString('utf8');
  await submit(app, { type: typeOf(letter), input: fromJson(text) });
}
