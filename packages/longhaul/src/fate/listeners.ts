/**
 * What an app may listen to in its own process, in the shape of the reply events. A crash may swallow
 * an event here, which a reply survives; a listener that fails harms nothing.
 */
import { type Happening, toEvent } from '../model/event.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Log } from '../ports.ts';

export type JobEvent = ReturnType<typeof toEvent>;
export type Listeners = { readonly [H in Happening]?: (event: JobEvent) => void | Promise<void> };
export type Notify = (what: Happening, record: JobRecord) => void;

/** Who counts what happens, without failing. */
export interface Counter {
  count(what: Happening, record: JobRecord): void;
}

export function createNotify(listeners: Listeners, counter: Counter, log: Log): Notify {
  return (what, record) => {
    counter.count(what, record);
    const listener = listeners[what];
    if (listener) void callListener(listener, what, record, log);
  };
}

async function callListener(
  listener: (event: JobEvent) => void | Promise<void>,
  what: Happening,
  record: JobRecord,
  log: Log,
): Promise<void> {
  try {
    await listener(toEvent(record, what));
  } catch (error) {
    log('warn', `job ${record.id}: a listener to '${what}' failed: ${(error as Error).message}`);
  }
}
