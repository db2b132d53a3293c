/** The CloudEvents 1.0 event by which a job's end is told: reply, completion, later callbacks. */
import { CloudEvent } from 'cloudevents';
import { type EndedRecord, type EndState, hasEnded, type JobRecord } from './job-record.ts';
import { type OutgoingMessage, ours } from './message.ts';
import { messageIdOf, pathOfJob } from './names.ts';

export const eventContentType = 'application/cloudevents+json';

/** The job type that tells an end to an HTTP address. */
export const callbackType = 'longhaul.callback';

// A job that was started again ends again: another event.
const again = ({ triedBefore }: JobRecord) => (triedBefore ? [triedBefore] : []);

/** What is told of a job: to who asked or waits its end, to listeners in the app all of it. */
export type Happening =
  | EndState
  | 'enqueued'
  | 'started'
  | 'progress'
  | 'retried'
  | 'dead-lettered';

export function toEvent(record: JobRecord, what: Happening = record.state as EndState) {
  const { id, type, state, key, parent, place, schedule, scheduledFor, progress } = record;
  const known = { key, parent, place, schedule, scheduledFor, attempt: record.attempt, progress };
  return new CloudEvent({
    id: hasEnded(state)
      ? [id, what, ...again(record)].join(':')
      : `${id}:${what}:${record.turn}.${record.writes ?? 0}`,
    source: '/api/jobs',
    type: `longhaul.job.${what}`,
    subject: id,
    time: record.finishedAt ?? record.startedAt ?? record.createdAt,
    datacontenttype: 'application/json',
    data: { id, type, state, ...known, ...outcomeOf(record) },
  });
}

function outcomeOf({ id, state, result, error }: JobRecord) {
  if (state !== 'succeeded')
    return { error: error && { name: error.name, code: error.code, message: error.message } };
  return result && 'json' in result
    ? { result: JSON.parse(result.json) as unknown }
    : { resultUrl: `${pathOfJob(id)}/result` };
}

/** The message of the job that calls back; its id makes it one, however often it is sent. */
export function toCallbackMessage(
  record: EndedRecord,
  queue: string,
  url: string,
): OutgoingMessage {
  const id = messageIdOf(record.id, 'callback', ...again(record));
  const event = toEvent(record);
  return {
    queue,
    messageId: id,
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify({ url, id: event.id, event })),
    properties: { type: callbackType, ...ours },
  };
}

/** The event as a message; `purpose` makes its id differ from the job's other messages. */
export function toEventMessage(
  record: EndedRecord,
  purpose: 'reply' | 'completion',
  to: { queue: string; sessionId?: string; correlationId?: string },
): OutgoingMessage {
  return {
    queue: to.queue,
    messageId: messageIdOf(record.id, purpose, ...again(record)),
    ...(to.sessionId !== undefined ? { sessionId: to.sessionId } : {}),
    ...(to.correlationId !== undefined ? { correlationId: to.correlationId } : {}),
    contentType: eventContentType,
    subject: record.id,
    body: Buffer.from(JSON.stringify(toEvent(record))),
    properties: { type: record.type, state: record.state },
  };
}
