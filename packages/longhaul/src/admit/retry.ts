/** A failed job is started again, from its checkpoint and with all its attempts before it. */

import { validate } from '../define/validate.ts';
import { ConflictError, EqualJobError, JobNotFailedError } from '../errors.ts';
import { endMessages } from '../fate/consequences.ts';
import { sendAll } from '../fate/settle.ts';
import { type EndedRecord, type JobRecord, nextTurn } from '../model/job-record.ts';
import { fromRecord, type JobMessage, toMessage } from '../model/message.ts';
import type { Log } from '../ports.ts';
import { withdraw } from '../record/announce.ts';
import { bodyOf, fromBody } from '../record/claim-check.ts';
import { find } from '../record/find.ts';
import type { Submitting } from './submit.ts';
import { claimUnique, uniqueName } from './unique.ts';

/**
 * The message goes first, as in `submit`: a worker that finds it beside a record that is still failed
 * starts the job itself. `by`: an action, which does it to a job once however often it asks.
 * @throws JobNotFoundError, JobNotFailedError, EqualJobError
 */
export async function retry(
  app: Submitting & { log: Log },
  id: string,
  by?: string,
): Promise<JobRecord> {
  const { record: found, etag: read } = await find(app, id);
  if (by !== undefined && isRetriedBy(found, by)) return found;
  const isOpen = !found.foreign || app.types.findOpen(found.type);
  if (found.state !== 'failed' || !found.input || !isOpen)
    throw new JobNotFailedError(id, found.state);
  const content = bodyOf(found.input);
  await refuseEqual(app, found, content);
  await tellAgain(app, found);
  // On record first: the message may be taken, and the job fail again, before the next line.
  const { record, etag } =
    by === undefined
      ? { record: found, etag: read }
      : await app.records.write({ ...found, retriedBy: markOf(found, by) }, read);
  await app.queue.send(toMessage(fromRecord(startedAgain(record), content)));
  try {
    const { record: started } = await app.records.write(startedAgain(record), etag);
    app.notify('retried', started);
    // Its end was no end. Crash here: it is told as one until the job expires.
    await withdraw(app.notes, found);
    return started;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // A worker was faster, or another asked for the same.
    return (await app.records.read(id))?.record ?? record;
  }
}

const markOf = ({ turn }: JobRecord, by: string): string => `${by} ${turn}`;

/** The action has started it again: what it is now it has become since. */
export function isRetriedBy({ retriedBy, turn }: JobRecord, action: string): boolean {
  const [by, before] = retriedBy?.split(' ') ?? [];
  return by === action && Number(before) < turn;
}

// As long as the broker knows a copy (topology.json, duplicateDetectionHistoryTimeWindow), and a little
// less.
const knownMs = 50 * 60_000;

/** Whoever ended it may have died before it told so, and will find a job that was started again. */
async function tellAgain(app: Submitting & { log: Log }, record: EndedRecord): Promise<void> {
  if (app.clock.now().getTime() - Date.parse(record.finishedAt) > knownMs) return;
  await sendAll(app, endMessages(record, app.topology));
}

/** An equal job that was made since the failure stands for this one. */
async function refuseEqual(
  app: Submitting,
  { id, type, ...requester }: JobRecord,
  content: { body: Buffer; contentType: string },
): Promise<void> {
  const known = app.types.find(type);
  if (!known?.definition.unique) return;
  const raw = await fromBody(app.blobs, id, content);
  const input = await validate(known.definition.input, raw, 'The input');
  const name = uniqueName(known, input, requester);
  if (name === undefined) return;
  const claimed = await claimUnique(app, known, name, id, app.clock.now());
  // Another that is about to be made counts as one that is there.
  if (claimed.standing || claimed.id !== id) throw new EqualJobError(id, claimed.id);
}

/** True for the message of `retry` that came before its record. */
export const isStartedAgain = (record: JobRecord, { turn }: JobMessage): boolean =>
  record.state === 'failed' && turn > record.turn;

export function startedAgain(record: JobRecord): JobRecord {
  const { error: _e, startedAt: _s, finishedAt: _f, keepUntil: _k, ...rest } = record;
  const { cancelRequestedAt: _c, undone: _u, children = {}, ...kept } = rest;
  // A group in which one failed is sent out anew.
  const whole = Object.entries(children).filter(([, { of, done }]) => of === done);
  return {
    ...kept,
    ...(whole.length > 0 ? { children: Object.fromEntries(whole) } : {}),
    state: 'queued',
    attempt: record.attempt + 1,
    ...nextTurn(record),
    triedBefore: record.attempt,
  };
}
