/**
 * The sends and the settlement that follow from a record alone. Because nothing else goes in, a worker
 * that finds a record already decided can do again what the one before it may not have done.
 */

import { defaultLane } from '../define/catalogue.ts';
import { toCallbackMessage, toEventMessage } from '../model/event.ts';
import { idOfChild } from '../model/id.ts';
import { type EndedRecord, hasEnded, isEnded, type JobRecord } from '../model/job-record.ts';
import { toSignalMessage } from '../model/job-signal.ts';
import {
  type IncomingMessage,
  type JobMessage,
  type OutgoingMessage,
  toMessage,
} from '../model/message.ts';
import { sessionOfJob, sessionOfSchedule } from '../model/names.ts';
import type { Topology } from '../model/topology.ts';
import { hasEndedChild } from './waiting.ts';

export type Settlement =
  | { kind: 'complete' }
  | { kind: 'dead-letter'; reason: string; description: string }
  /** The same delivery tries again. */
  | { kind: 'again' };

/** Where what follows is sent. */
export type Queues = Pick<Topology, 'completions' | 'lanes'>;

const complete = { kind: 'complete' } as const;

/** An earlier delivery decided this turn, and may have died before it settled. */
export const isAlreadyDecided = ({ state, turn }: JobRecord, message: JobMessage): boolean =>
  hasEnded(state) || state === 'waiting' || turn > message.turn;

/**
 * Another message of the turn that runs: the broker knows copies for an hour only. The one by which it
 * runs comes back until the turn is decided.
 */
export const isCopy = (
  { state, turn, sequence }: JobRecord,
  message: JobMessage,
  incoming: IncomingMessage,
): boolean =>
  state === 'running' &&
  turn === message.turn &&
  sequence !== undefined &&
  incoming.sequence !== undefined &&
  incoming.sequence !== sequence;

export function consequences(
  record: JobRecord,
  message: JobMessage,
  topology: Queues,
): { sends: OutgoingMessage[]; message: Settlement } {
  const { turn, attempt, runAt, waits, id } = record;
  // Told again whatever turn asks: who ended it may have died before it told.
  if (isEnded(record))
    return {
      sends: endMessages(record, topology),
      message: turn > message.turn ? complete : settlementOf(record),
    };
  if (turn > message.turn) {
    // Once the next turn runs, its message has been sent.
    if (record.state !== 'queued' || turn > message.turn + 1)
      return { sends: [], message: complete };
    const next = { ...message, attempt, turn };
    return { sends: [toMessage(next, runAt ? new Date(runAt) : undefined)], message: complete };
  }
  if (record.state === 'waiting') {
    const timer = waits?.until
      ? [
          toSignalMessage(
            topology.completions,
            id,
            { kind: 'wake', turn },
            ['wake', turn],
            new Date(waits.until),
          ),
        ]
      : [];
    return { sends: timer, message: complete };
  }
  return { sends: [], message: { kind: 'again' } };
}

/** The reply to who asked, and the completion to who waits. */
export function endMessages(
  record: EndedRecord,
  { completions, lanes }: Queues,
): OutgoingMessage[] {
  const { replyTo, replyToSessionId, correlationId, parent, schedule, callback } = record;
  const lane = lanes.find(({ name }) => name === defaultLane) ?? lanes[0];
  const waiter = parent ? sessionOfJob(parent) : schedule ? sessionOfSchedule(schedule) : undefined;
  return [
    ...(replyTo
      ? [
          toEventMessage(record, 'reply', {
            queue: replyTo,
            ...(replyToSessionId ? { sessionId: replyToSessionId } : {}),
            // JMS and AMQP habit: without a correlation id the reply carries the request's id.
            correlationId: correlationId ?? record.id,
          }),
        ]
      : []),
    ...(waiter
      ? [
          toEventMessage(record, 'completion', {
            queue: completions,
            sessionId: waiter,
            correlationId: record.id,
          }),
        ]
      : []),
    ...(callback && lane ? [toCallbackMessage(record, lane.plain, callback)] : []),
    ...cancelsOfChildren(record, completions),
  ];
}

/** Children outlive no parent that failed or was cancelled. */
function cancelsOfChildren(
  { id, state, turn, children = {} }: EndedRecord,
  completions: string,
): OutgoingMessage[] {
  if (state !== 'failed' && state !== 'cancelled') return [];
  return Object.entries(children).flatMap(([name, group]) =>
    Array.from({ length: group.of }, (_, index) => index)
      .filter((index) => !hasEndedChild(group, index))
      .map((index) => {
        const child = idOfChild(id, name, group, index);
        return toSignalMessage(completions, child, { kind: 'cancel' }, ['orphan', turn]);
      }),
  );
}

export function settlementOf({ state, error }: EndedRecord): Settlement {
  if (state !== 'failed') return { kind: 'complete' };
  const reason =
    error?.code === 'delivery_limit_exceeded'
      ? error.name
      : (error?.code ?? error?.name ?? 'failed');
  // Service Bus: reason and description have 4096 characters at most.
  return {
    kind: 'dead-letter',
    reason: reason.slice(0, 4096),
    description: `${error?.name}: ${error?.message}`.slice(0, 4096),
  };
}
