/**
 * News have come for who waits: a job (`hear.ts` says what they change) or a schedule.
 *
 * The record is written first. If the news wake the job, its message follows from the record; the news
 * are answered last, so that a crash between any two lines brings them back.
 */

import { policyOf } from '../fate/outcome.ts';
import { sendEndMessages } from '../fate/settle.ts';
import { type EndState, hasEnded, type JobRecord } from '../model/job-record.ts';
import { type Completion, fromCompletions, type JobSignal } from '../model/job-signal.ts';
import { fromRecord, type IncomingMessage, toMessage } from '../model/message.ts';
import { bodyOf } from '../record/claim-check.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { retryOnConflict } from '../record/retry-on-conflict.ts';
import { runEnded } from '../schedules/tick.ts';
import { applySignals } from '../wait/apply-signals.ts';
import type { Working } from './attempt.ts';

/** What one delivery brought, all of one session. @throws when storage or the bus is out of reach */
export async function handleCompletions(
  app: Working,
  messages: readonly IncomingMessage[],
): Promise<void> {
  for (const [, error] of await handleEach(app, messages)) throw error;
}

// Jobs whose records are written side by side.
const atOnce = 32;

/** The same; what one job's news met holds up those of no other. Answers with those that failed, and why. */
export async function handleEach(
  app: Working,
  messages: readonly IncomingMessage[],
): Promise<ReadonlyMap<IncomingMessage, unknown>> {
  const failed = new Map<IncomingMessage, unknown>();
  await mapInChunks([...byReceiver(app, messages).values()], atOnce, async (share) => {
    try {
      await share.take();
    } catch (error) {
      for (const message of share.messages) failed.set(message, error);
    }
  });
  return failed;
}

interface Share {
  messages: IncomingMessage[];
  take(): Promise<void>;
}

/** By the job or the schedule that they are for, in their order. */
function byReceiver(
  app: Working,
  messages: readonly IncomingMessage[],
): ReadonlyMap<string, Share> {
  const shares = new Map<string, Share>();
  const news = new Map<string, JobSignal[]>();
  for (const message of messages) {
    const read = readOne(app, message);
    if (!read) continue;
    const name = 'job' in read ? `job ${read.job}` : `schedule ${read.schedule}`;
    const share = shares.get(name) ?? { messages: [], take: async () => undefined };
    shares.set(name, share);
    share.messages.push(message);
    if ('job' in read) {
      const { job } = read;
      const all = news.get(job) ?? [];
      all.push(read.news);
      news.set(job, all);
      share.take = () => handleSignals(app, job, all);
    } else {
      const before = share.take;
      share.take = () => before().then(() => tellSchedule(app, read));
    }
  }
  return shares;
}

async function tellSchedule(
  app: Working,
  { schedule, event }: { schedule: string; event: Completion },
): Promise<void> {
  const { subject, time, data } = event;
  const at = time ? new Date(time) : app.clock.now();
  await runEnded(app, schedule, subject, data.state as EndState, at);
}

function readOne({ log }: Working, message: IncomingMessage) {
  try {
    return fromCompletions(message);
  } catch (error) {
    log('error', `completion ${message.messageId} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

export async function handleSignals(
  app: Working,
  id: string,
  news: readonly JobSignal[],
): Promise<void> {
  const record = await keepNews(app, id, news);
  if (!record) return;
  const { state, woken, turn, input } = record;
  if (state === 'queued' && woken === turn && input)
    await app.queue.send(toMessage(fromRecord(record, bodyOf(input)), dueAt(record)));
  // Whoever cancelled it may have died before it told so.
  if (state === 'cancelled' && news.some(({ kind }) => kind === 'cancel'))
    await sendEndMessages(app, record);
}

const dueAt = ({ runAt }: JobRecord) => (runAt ? new Date(runAt) : undefined);

/** The record as it is once it knows. */
async function keepNews(
  { records, clock, log, types }: Working,
  id: string,
  news: readonly JobSignal[],
): Promise<JobRecord | undefined> {
  return retryOnConflict(async () => {
    const stored = await records.read(id);
    if (!stored) {
      const kinds = news.map(({ kind }) => kind).join(', ');
      log('warn', `job ${id}: news for it, and no record: ${kinds}`);
      return undefined;
    }
    const { record, etag } = stored;
    const policy = policyOf(types, record);
    const next = hasEnded(record.state) ? record : applySignals(record, news, policy, clock.now());
    return next === record ? record : (await records.write(next, etag)).record;
  });
}
