/** Somebody tells a job something that it waits for, or will. */

import type { Submitting } from '../admit/submit.ts';
import { validate } from '../define/validate.ts';
import {
  EventReceivedError,
  JobEndedError,
  UnknownEventError,
  UnknownJobTypeError,
} from '../errors.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { toSignalMessage } from '../model/job-signal.ts';
import { keptBlob } from '../model/names.ts';
import { storeValue } from '../record/claim-check.ts';
import { find } from '../record/find.ts';

// A record holds those of all its events.
const inPlaceChars = 4_000;

/**
 * The payload travels with the message: once this resolves the job will hear of it.
 * @throws JobNotFoundError, JobEndedError, UnknownEventError, InvalidInputError, EventReceivedError
 */
export async function tellEvent(
  app: Submitting,
  id: string,
  name: string,
  payload: unknown,
): Promise<JobRecord> {
  const { record } = await find(app, id);
  if (hasEnded(record.state)) throw new JobEndedError(id, record.state);
  const known = app.types.find(record.type);
  if (!known) throw new UnknownJobTypeError(record.type, app.types.names);
  const { events = {} } = known.definition;
  const schema = Object.hasOwn(events, name) ? events[name] : undefined;
  if (!schema) throw new UnknownEventError(record.type, name, Object.keys(events));
  if (Object.hasOwn(record.events ?? {}, name)) throw new EventReceivedError(id, name);
  await validate(schema, payload, 'The event');
  // Two that come at once keep their own: the first that is heard stays.
  const blob = keptBlob(id, `event-${name}`, app.newId(app.clock.now()));
  const kept = await storeValue(app.blobs, blob, payload, 'The event', inPlaceChars);
  const news = { kind: 'event', name, payload: kept } as const;
  const { completions } = app.topology;
  await app.queue.send(
    toSignalMessage(completions, id, news, ['event', record.triedBefore ?? 0, name]),
  );
  return record;
}
