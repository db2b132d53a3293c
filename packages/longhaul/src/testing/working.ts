/** The pipeline of one process, on ports in memory. */
import type { SessionAllocator } from '../admit/key.ts';
import type { JobTypes } from '../define/catalogue.ts';
import type { Topology } from '../model/topology.ts';
import type { Clock, Log } from '../ports.ts';
import { withExpiry } from '../record/expiry.ts';
import { Pauses } from '../record/pauses.ts';
import type { Working } from '../run/attempt.ts';
import { ConcurrencyLimiter } from '../run/concurrency-limiter.ts';
import { Heartbeat } from '../run/heartbeat.ts';
import { SessionFairness } from '../run/session-fairness.ts';
import type { Bus } from './bus.ts';
import type { ScheduleStore } from './schedules.ts';
import type { Call, Stores } from './stores.ts';

export interface Memory {
  bus: Bus;
  stores: Stores;
  schedules: ScheduleStore;
}

/** What differs between processes, and between those who try them. */
export interface Own {
  types: JobTypes;
  topology: Topology;
  clock: Clock;
  log: Log;
  slots: SessionAllocator;
  newId(at: Date): string;
  newOwner(): string;
  random(): number;
}

const inMemory = { id: 'test', app: 'test', version: '0', instance: 'test', lanes: [], places: 0 };

// Enough that no job waits for a place because others run.
const places = 1000;

/** `callOf` makes of each access to one of the ports a call that something may happen to. */
export function createWorking(
  { bus, stores, schedules }: Memory,
  callOf: (port: string) => Call,
  own: Own,
): Working {
  const { clock, topology } = own;
  const notes = stores.notesFor(callOf('notes'));
  const call = callOf('queue');
  return {
    ...own,
    records: withExpiry(stores.recordsFor(callOf('records')), notes, clock),
    removal: stores.removalFor(callOf('removal')),
    notes,
    schedules: schedules.port(callOf('schedules')),
    blobs: stores.blobsFor(callOf('blobs')),
    queue: {
      send: (message) => call(() => bus.send(message)),
      peekDeadLetters: (queue, after, limit) => call(() => bus.letters(queue, after, limit)),
      peek: (queue, limit, of) => call(() => bus.look(queue, of).slice(0, limit)),
      openDeadLetters: (queue) => bus.openLetters(queue, call),
    },
    notify: () => undefined,
    checkCallback: () => undefined,
    here: { app: 'app', version: '1', instance: 'memory' },
    limiter: new ConcurrencyLimiter(places, topology.lanes, clock),
    pauses: new Pauses(notes, clock),
    heartbeat: new Heartbeat({ notes, clock, log: own.log }, inMemory),
    turns: new SessionFairness({ now: clock.now, after: () => () => undefined }),
    stopping: new AbortController().signal,
    graceMs: 1000,
  };
}
