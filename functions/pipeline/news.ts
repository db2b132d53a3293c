/**
 * News have come for who waits: a job (`hear.ts` says what they change) or a schedule.
 *
 * The record is written first. If the news wake the job, its message follows from the record; the news
 * are answered last, so that a crash between any two lines brings them back.
 */
import { type EndState, hasEnded, type JobRecord } from '../model/job-record.ts';
import { fromRecord, type IncomingMessage, toMessage } from '../model/message.ts';
import { fromCompletions, type News } from '../model/news.ts';
import { runEnded } from '../schedules/tick.ts';
import type { Working } from './attempt.ts';
import { bodyOf } from './claim-check.ts';
import { untilWritten } from './contested.ts';
import { hear } from './hear.ts';
import { noRetries } from './outcome.ts';
import { tellEnd } from './settle.ts';

/** What one delivery brought, all of one session. @throws when storage or the bus is out of reach */
export async function takeCompletions(
  app: Working,
  messages: readonly IncomingMessage[],
): Promise<void> {
  const ofJobs = new Map<string, News[]>();
  for (const message of messages) {
    const read = readOne(app, message);
    if (read && 'job' in read) ofJobs.set(read.job, [...(ofJobs.get(read.job) ?? []), read.news]);
    else if (read) {
      const { subject, time, data } = read.event;
      const at = time ? new Date(time) : app.clock.now();
      await runEnded(app, read.schedule, subject, data.state as EndState, at);
    }
  }
  for (const [id, news] of ofJobs) await takeNews(app, id, news);
}

function readOne({ log }: Working, message: IncomingMessage) {
  try {
    return fromCompletions(message);
  } catch (error) {
    log('error', `completion ${message.messageId} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

export async function takeNews(app: Working, id: string, news: readonly News[]): Promise<void> {
  const record = await keepNews(app, id, news);
  if (!record) return;
  const { state, woken, turn, input } = record;
  if (state === 'queued' && woken === turn && input)
    await app.queue.send(toMessage(fromRecord(record, bodyOf(input)), dueAt(record)));
  // Whoever cancelled it may have died before it told so.
  if (state === 'cancelled' && news.some(({ kind }) => kind === 'cancel'))
    await tellEnd(app, record);
}

const dueAt = ({ runAt }: JobRecord) => (runAt ? new Date(runAt) : undefined);

/** The record as it is once it knows. */
async function keepNews(
  { records, clock, log, types }: Working,
  id: string,
  news: readonly News[],
): Promise<JobRecord | undefined> {
  return untilWritten(async () => {
    const stored = await records.read(id);
    if (!stored) {
      const kinds = news.map(({ kind }) => kind).join(', ');
      log('warn', `job ${id}: news for it, and no record: ${kinds}`);
      return undefined;
    }
    const { record, etag } = stored;
    const policy = types.find(record.type)?.policy ?? noRetries;
    const next = hasEnded(record.state) ? record : hear(record, news, policy, clock.now());
    return next === record ? record : (await records.write(next, etag)).record;
  });
}
