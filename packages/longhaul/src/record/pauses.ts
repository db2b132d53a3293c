/**
 * What an operator has paused, and the jobs that wait for it.
 *
 * A job of a paused type or lane is taken out of its queue once and parked: its record waits, and its
 * place is noted. So a pause burns no delivery however long it lasts, the lane is empty and its apps scale
 * to nothing, other types go on beside it, and no right to change the queue is needed, as an entity's
 * status would take (Manage). Resumed, the parked ones are sent again in the order in which they came.
 *
 * Those of a session keep their order: as long as one of them is on its way, whatever else comes in its
 * session is parked behind it. A place is noted before the pause is looked at, and given up when its job
 * begins; the pause goes when no place is left.
 */
import { isOwn } from '../define/catalogue.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { Clock, KeyValueStore } from '../ports.ts';

export const pauseScopes = ['type', 'lane'] as const;
export type PauseScope = (typeof pauseScopes)[number];

export interface PauseTarget {
  scope: PauseScope;
  name: string;
}

export interface Pause extends PauseTarget {
  /** Of this pause: a later one of the same name has another. The first member, as of a claim. */
  id: string;
  /** Since when it holds. */
  at: string;
  by?: string;
  why?: string;
  /** Resumes by itself. */
  until?: string;
  /** What is parked is being sent on. */
  resuming?: true;
}

const kind = 'pause';
/** As a record says it. */
export const nameOf = ({ scope, name }: PauseTarget): string => `${scope} ${name}`;

// So old may be what a worker knows …
const lookEveryMs = 2_000;
// … so a pause holds nothing before all know it: else a later job of a key would pass one that is parked.
const announceMs = 5_000;

export class Pauses {
  readonly #notes: KeyValueStore;
  readonly #clock: Clock;
  #looked = Number.NEGATIVE_INFINITY;
  #known: Promise<readonly Pause[]> = Promise.resolve([]);

  constructor(notes: KeyValueStore, clock: Clock) {
    this.#notes = notes;
    this.#clock = clock;
  }

  /** The pauses that a job of the type meets in the lane, as it was two seconds ago at most. */
  async of(type: string, lane: string): Promise<Pause[]> {
    // They do what an operator asked for, or tell how a job ended.
    if (isOwn(type)) return [];
    const now = this.#clock.now().getTime();
    if (now - this.#looked >= lookEveryMs) {
      this.#looked = now;
      this.#known = this.all();
      // Asked again by the next.
      this.#known.catch(() => this.#forget());
    }
    return (await this.#known).filter(
      ({ scope, name, at }) =>
        name === (scope === 'type' ? type : lane) && now - Date.parse(at) >= announceMs,
    );
  }

  async all(): Promise<Pause[]> {
    const found = await this.#notes.after(kind, '');
    return found.map(({ value }) => JSON.parse(value) as Pause);
  }

  /** As it is now. */
  async find(target: PauseTarget): Promise<Pause | undefined> {
    const text = await this.#notes.read(kind, nameOf(target));
    return text === undefined ? undefined : (JSON.parse(text) as Pause);
  }

  async write(pause: Pause): Promise<void> {
    await this.#notes.write(kind, nameOf(pause), JSON.stringify(pause));
    this.#forget();
  }

  /** False when somebody changed it meanwhile. */
  async replace(pause: Pause, instead: Pause): Promise<boolean> {
    const [next, before] = [JSON.stringify(pause), JSON.stringify(instead)];
    return this.#notes.replace(kind, nameOf(pause), next, before);
  }

  /** Nothing when it was paused anew meanwhile. */
  async remove(pause: Pause): Promise<void> {
    await this.#notes.remove(kind, nameOf(pause), pause.id);
    this.#forget();
  }

  #forget(): void {
    this.#looked = Number.NEGATIVE_INFINITY;
  }
}

/** A job that waits for a pause to end. */
export interface Parked {
  job: string;
  session?: string;
  /** Sorts as it came in its queue, those of a session together. */
  place: string;
  at: string;
  /** When it was sent on its way. */
  sent?: string;
}

const parkedKind = (target: PauseTarget): string => `parked ${nameOf(target)}`;
const ofSession = (session = ''): string => `${encodeURIComponent(session)} `;

export function parkedAt(
  { id, session, key }: JobRecord,
  { sequence = '' }: { sequence?: string | undefined },
  now: Date,
): Parked {
  const own = session ?? key;
  // A broker's number has 19 digits at most.
  const place = `${ofSession(own)}${sequence.padStart(19, '0')} ${id}`;
  const at = now.toISOString();
  return { job: id, ...(own === undefined ? {} : { session: own }), place, at };
}

export const notePlace = (notes: KeyValueStore, target: PauseTarget, one: Parked): Promise<void> =>
  notes.write(parkedKind(target), one.place, JSON.stringify(one));

export const isNoted = async (
  notes: KeyValueStore,
  target: PauseTarget,
  place: string,
): Promise<boolean> => (await notes.read(parkedKind(target), place)) !== undefined;

export const forgetPlace = (
  notes: KeyValueStore,
  target: PauseTarget,
  { place }: Parked,
): Promise<void> => notes.remove(parkedKind(target), place);

/** Those of a session in the order in which they came; a thousand at most. */
export async function parkedAfter(
  notes: KeyValueStore,
  target: PauseTarget,
  place: string,
): Promise<Parked[]> {
  const found = await notes.after(parkedKind(target), place);
  return found.map(({ value }) => JSON.parse(value) as Parked);
}

/** Whether one of the session, other than this one, is parked or on its way. */
export async function hasParked(
  notes: KeyValueStore,
  target: PauseTarget,
  { session, place }: Parked,
): Promise<boolean> {
  if (session === undefined) return false;
  const found = await parkedAfter(notes, target, ofSession(session));
  return found.some((one) => one.session === session && one.place !== place);
}
