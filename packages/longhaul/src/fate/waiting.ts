/** What a waiting job waits for, and whether it has come. Without I/O. */
import { type ChildGroup, type JobRecord, nextTurn } from '../model/job-record.ts';

export const isOver = ({ of, ended, done, failed, settled }: ChildGroup): boolean =>
  settled ? countEnded(ended) === of : done === of || failed.length > 0;

export const countEnded = (ended: string): number =>
  Buffer.from(ended, 'base64').reduce((sum, byte) => sum + bitsOf(byte), 0);

function bitsOf(byte: number): number {
  let bits = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) bits++;
  return bits;
}

export const hasEndedChild = ({ ended }: ChildGroup, index: number): boolean =>
  ((Buffer.from(ended, 'base64')[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;

/** A group may be called anything, `constructor` too. */
export const groupNamed = (
  { children = {} }: Pick<JobRecord, 'children'>,
  name: string,
): ChildGroup | undefined => (Object.hasOwn(children, name) ? children[name] : undefined);

/** True when something that the job waits for is there. */
export function isFulfilled(record: JobRecord, now: Date): boolean {
  const { waits, events = {} } = record;
  if (!waits) return true;
  if (isDue(record, now)) return true;
  if (waits.events?.some((name) => Object.hasOwn(events, name))) return true;
  return (
    waits.children?.some((name) => {
      const group = groupNamed(record, name);
      return group !== undefined && isOver(group);
    }) ?? false
  );
}

/**
 * The record of a job that goes on; its message for the new turn is still to be sent. `byTimer`: what
 * it waited for is over whatever the clock of its next worker says.
 */
export function woken(record: JobRecord, byTimer: boolean): JobRecord {
  const { waits, runAt: _r, ...rest } = record;
  const next = nextTurn(record);
  const rung = byTimer && waits?.until ? { rung: waits.until } : {};
  return { ...rest, ...rung, state: 'queued', ...next, woken: next.turn };
}

/** The first of its sleeps and timeouts is over by this clock. */
export const isDue = ({ waits }: JobRecord, now: Date): boolean =>
  waits?.until !== undefined && new Date(waits.until) <= now;
