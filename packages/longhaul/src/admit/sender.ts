/** What a message is believed follows from who sent it: the app, or a stranger with rights on a lane. */

import type { JobTypes } from '../define/catalogue.ts';
import { BadMessageError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import { fromMessage, type IncomingMessage, type JobMessage } from '../model/message.ts';
import { isAboutJob } from '../model/names.ts';
import { laneOf, type Topology } from '../model/topology.ts';

// As long as over HTTP. The broker itself bounds ids and sessions, at 128.
const most = { type: 100, requestedBy: 256, correlationId: 256, replyToSessionId: 128 } as const;

// Neither a line of a log or a stream nor a key of storage can hold it.
const unfit = /[\p{Cc}\p{Cs}]/u;

/**
 * A stranger's message is of a job of its own: never of one that the app made, nor of another
 * stranger's. `moved`: it was sent on to another queue before. @throws BadMessageError
 */
export function checkSender(
  message: JobMessage,
  record: JobRecord | undefined,
  types: JobTypes,
  topology: Pick<Topology, 'lanes'>,
): 'its' | 'moved' {
  if (!message.isForeign) return 'its';
  if (unfit.test(message.id)) throw new BadMessageError('its MessageId holds control characters');
  if (unfit.test(message.type)) throw new BadMessageError('its type holds control characters');
  if (isAboutJob(message.id))
    throw new BadMessageError(
      'its MessageId has the form of those that the app makes from a job’s id',
    );
  for (const [name, length] of Object.entries(most))
    if ((message[name as keyof typeof most]?.length ?? 0) > length)
      throw new BadMessageError(`its ${name} is longer than ${length} characters`);
  if (!record) return 'its';
  const type = types.find(message.type)?.definition.type ?? message.type;
  if (record.type !== type || !record.foreign)
    throw new BadMessageError(`its MessageId is that of job '${message.id}', which it is not of`);
  if (record.queue === message.queue) return 'its';
  if (laneOf(topology, record.queue)?.keyed === record.queue) return 'moved';
  throw new BadMessageError(`job '${message.id}' came by another queue`);
}

/** A message as far as it is believed: a stranger names a reply queue as one who submits does. */
export function readMessage(incoming: IncomingMessage, { replies }: Topology): JobMessage {
  const message = fromMessage(incoming);
  const { replyTo } = message;
  if (!message.isForeign || replyTo === undefined || replies.includes(replyTo)) return message;
  const { replyTo: _t, replyToSessionId: _s, ...rest } = message;
  return rest;
}
