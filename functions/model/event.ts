/** The CloudEvents 1.0 event by which a job's end is told: reply, completion, later callbacks. */
import { CloudEvent } from 'cloudevents';
import type { EndState, JobRecord } from './job-record.ts';
import type { OutgoingMessage } from './message.ts';

export const eventContentType = 'application/cloudevents+json';

export type EndedRecord = JobRecord & { state: EndState };

// A job that was started again ends again: another event.
const again = ({ triedBefore }: JobRecord) => (triedBefore ? `:${triedBefore}` : '');

export function toEvent(record: EndedRecord) {
  const { id, type, state, result, error, key, parent, place, schedule, scheduledFor } = record;
  const known = { key, parent, place, schedule, scheduledFor, attempt: record.attempt };
  const outcome =
    state !== 'succeeded'
      ? { error: error && { name: error.name, code: error.code, message: error.message } }
      : result && 'json' in result
        ? { result: JSON.parse(result.json) as unknown }
        : { resultUrl: `/api/jobs/${id}/result` };
  return new CloudEvent({
    id: `${id}:${state}${again(record)}`,
    source: '/api/jobs',
    type: `longhaul.job.${state}`,
    subject: id,
    time: record.finishedAt ?? record.createdAt,
    datacontenttype: 'application/json',
    data: { id, type, state, ...known, ...outcome },
  });
}

/** The event as a message; `purpose` makes its id differ from the job's other messages. */
export function toEventMessage(
  record: EndedRecord,
  purpose: 'reply' | 'completion',
  to: { queue: string; sessionId?: string; correlationId?: string },
): OutgoingMessage {
  return {
    queue: to.queue,
    messageId: `${record.id}:${purpose}${again(record)}`,
    ...(to.sessionId !== undefined ? { sessionId: to.sessionId } : {}),
    ...(to.correlationId !== undefined ? { correlationId: to.correlationId } : {}),
    contentType: eventContentType,
    subject: record.id,
    body: Buffer.from(JSON.stringify(toEvent(record))),
    properties: { type: record.type, state: record.state },
  };
}
