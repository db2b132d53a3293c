/**
 * News for a job that waits, or may: a timer that ended, an event from outside, a cancel, a child's
 * end. Each is a message on the completions queue, in a session that follows from the job, so that the
 * news of one job are taken one batch at a time and its record is written by one hand.
 */
import { type EndState, hasEnded, type State, type StoredValue } from './job-record.ts';
import type { IncomingMessage, OutgoingMessage } from './message.ts';
import { messageIdOf, sessionOfJob } from './names.ts';

export type JobSignal =
  /** `turn`: of the wait that it ends. */
  | { kind: 'wake'; turn: number }
  | { kind: 'event'; name: string; payload: StoredValue }
  | { kind: 'cancel' }
  | { kind: 'child'; id: string; group: string; index: number; state: EndState };

/** `once`: what makes the message's id; the broker drops a second of the same. */
export function toSignalMessage(
  queue: string,
  id: string,
  news: Exclude<JobSignal, { kind: 'child' }>,
  once: readonly (string | number)[],
  at?: Date,
): OutgoingMessage {
  return {
    queue,
    messageId: messageIdOf(id, ...once),
    sessionId: sessionOfJob(id),
    contentType: 'application/json',
    subject: id,
    ...(at ? { at } : {}),
    body: Buffer.from(JSON.stringify(news)),
    properties: { type: `longhaul.job.${news.kind}`, job: id },
  };
}

export const placeOfChild = (group: string, index: number) => `${index}:${group}`;

export function fromPlace(place: string): { index: number; group: string } {
  const [, index = '', group = ''] = /^(\d+):(.*)$/s.exec(place) ?? [];
  return { index: Number(index), group };
}

/** What a message on the completions queue says; undefined for what is none of these. */
export function fromCompletions(
  message: IncomingMessage,
): { job: string; news: JobSignal } | { schedule: string; event: Completion } | undefined {
  const body = JSON.parse(message.body.toString('utf8')) as Completion | JobSignal;
  if ('kind' in body) {
    const job = message.properties['job'] ?? message.sessionId?.replace(/^job:/, '');
    return { job: String(job), news: body };
  }
  const { parent, place, schedule, state } = body.data;
  if (parent !== undefined && place !== undefined && hasEnded(state)) {
    const child = { kind: 'child', id: body.subject, ...fromPlace(place), state } as const;
    return { job: parent, news: child };
  }
  return schedule === undefined ? undefined : { schedule, event: body };
}

/** The members of a job's event that its waiters need. */
export interface Completion {
  subject: string;
  time?: string;
  data: { schedule?: string; parent?: string; place?: string; state: State };
}
