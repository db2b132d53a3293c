/** Pausing a type or a lane, and resuming it. `record/pauses.ts` says how it holds jobs. */
import { UnknownJobTypeError } from '../errors.ts';
import { mapInChunks } from '../record/map-in-chunks.ts';
import { type Parked, type Pause, type PauseTarget, parkedAfter } from '../record/pauses.ts';
import type { Working } from '../run/attempt.ts';
import { release } from '../run/park.ts';
import { NotPausedError, UnknownLaneError } from './errors.ts';

/**
 * Workers take no more of it within seven seconds. Who, why and until when are those of the last call.
 * @throws UnknownJobTypeError, UnknownLaneError
 */
export async function pause(
  app: Working,
  asked: PauseTarget,
  more: Pick<Pause, 'by' | 'why' | 'until'>,
): Promise<Pause> {
  const target = known(app, asked);
  const now = app.clock.now();
  const before = await app.pauses.find(target);
  // What is being sent on is held again, by another pause; all workers know of it already.
  const id = before && !before.resuming ? before.id : app.newId(now);
  const { at = now.toISOString() } = before ?? {};
  const paused = { id, ...target, at, ...more };
  await app.pauses.write(paused);
  app.log('info', `${target.scope} ${target.name} is paused${more.by ? ` by ${more.by}` : ''}`);
  return paused;
}

/** What is parked is sent on, by `sendParked`. @throws NotPausedError */
export async function resume(app: Working, asked: PauseTarget): Promise<Pause> {
  const target = known(app, asked);
  const paused = await app.pauses.find(target);
  if (!paused) throw new NotPausedError(target.scope, target.name);
  if (paused.resuming) return paused;
  const resuming: Pause = { ...paused, resuming: true };
  // Paused anew or resumed by another meanwhile, it is as they left it.
  if (!(await app.pauses.replace(resuming, paused))) return paused;
  app.log('info', `${target.scope} ${target.name} is resumed`);
  return resuming;
}

/** A type by its present name. @throws UnknownJobTypeError, UnknownLaneError */
function known({ types, topology }: Working, { scope, name }: PauseTarget): PauseTarget {
  if (scope === 'type') {
    const type = types.findOpen(name)?.definition.type;
    if (type === undefined) throw new UnknownJobTypeError(name, types.names);
    return { scope, name: type };
  }
  const lanes = topology.lanes.map((lane) => lane.name);
  if (!lanes.includes(name)) throw new UnknownLaneError(name, lanes);
  return { scope, name };
}

/** Ends the pauses that are resumed or over, as far as it comes in `withinMs`. Called now and then. */
export async function sendParked(app: Working, withinMs: number): Promise<void> {
  const until = app.clock.now().getTime() + withinMs;
  for (const one of await app.pauses.all()) {
    const isOver = one.until !== undefined && new Date(one.until) <= app.clock.now();
    const resuming = isOver && !one.resuming ? await resume(app, one) : one;
    const isSent = resuming.resuming && (await sendAll(app, resuming, until));
    if (isSent && (await countParked(app, one)) === 0) await app.pauses.remove(one);
  }
}

/** A thousand at most. */
export const countParked = async (app: Pick<Working, 'notes'>, of: PauseTarget): Promise<number> =>
  (await parkedAfter(app.notes, of, '')).length;

// Records that are written, and messages that are sent, side by side.
const atOnce = 50;

/** False when it did not come through them all. */
async function sendAll(app: Working, pause: Pause, until: number): Promise<boolean> {
  for (let place = ''; ; ) {
    const page = await parkedAfter(app.notes, pause, place);
    const last = page.at(-1);
    if (!last) return true;
    if (app.clock.now().getTime() >= until) return false;
    await mapInChunks(bySession(page), atOnce, async (parked) => {
      for (const one of parked) await release(app, pause, one);
    });
    place = last.place;
  }
}

/** Those of one session together, in their order; any other by itself. */
function bySession(page: readonly Parked[]): Parked[][] {
  const shares = new Map<string, Parked[]>();
  for (const one of page) {
    const name = one.session === undefined ? one.place : `session ${one.session}`;
    shares.set(name, [...(shares.get(name) ?? []), one]);
  }
  return [...shares.values()];
}
