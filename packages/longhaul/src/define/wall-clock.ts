/**
 * The clock on the wall of a time zone, counted in milliseconds as if it were UTC, and what becomes of
 * times on it when it is put forward or back. Without I/O.
 *
 * Each time on the clock counts once. Up to the moment at which the clock is changed the old clock
 * counts, and beyond it for what the new one leaves out: 02:30 in a spring night is 03:30 then. What
 * comes twice in autumn has been there already when the new clock shows it.
 */

/** The change of a zone's clock that is near, or the one offset that holds there. */
type Near = { offset: number; change?: undefined } | { change: Change };

interface Change {
  at: number;
  before: number;
  after: number;
}

const dayMs = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, hourCycle: 'h23', era: 'short' },
    ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });
  formats.set(timeZone, format);
  return format;
}

function offsetAt(timeZone: string, at: number): number {
  const whole = Math.floor(at / 1000) * 1000;
  const part: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(whole)) part[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - whole;
}

const known = new Map<string, Near>();
const maxKnown = 5_000;

/** For the day of `at` and the days beside it, so that an instant and its time on the wall agree. */
function near(timeZone: string, at: number): Near {
  if (timeZone === 'UTC') return { offset: 0 };
  const day = Math.floor(at / dayMs);
  const name = `${day} ${timeZone}`;
  const found = known.get(name);
  if (found) return found;
  if (known.size >= maxKnown) known.clear();
  const made = changeBetween(timeZone, (day - 1) * dayMs, (day + 2) * dayMs);
  known.set(name, made);
  return made;
}

function changeBetween(timeZone: string, from: number, to: number): Near {
  const before = offsetAt(timeZone, from);
  const after = offsetAt(timeZone, to);
  if (before === after) return { offset: before };
  let [early, late] = [from, to];
  while (late - early > 1000) {
    const middle = early + Math.floor((late - early) / 2000) * 1000;
    if (offsetAt(timeZone, middle) === before) early = middle;
    else late = middle;
  }
  return { change: { at: late, before, after } };
}

/** From this time on the wall on the new clock counts. */
const barrierOf = ({ at, before, after }: Change) => at + Math.max(before, after);

function instantOf(timeZone: string, wall: number): number {
  const there = near(timeZone, wall);
  if (!there.change) return wall - there.offset;
  const { before, after } = there.change;
  return wall - (wall < barrierOf(there.change) ? before : after);
}

/**
 * The first instant after `after` at which a time on the wall counts that `next` knows: it answers the
 * first of its times after the one given.
 */
export function firstOnWall(
  timeZone: string,
  after: number,
  next: (wall: number) => number | undefined,
): number | undefined {
  let here = near(timeZone, after);
  if (!here.change) {
    const wall = next(after + here.offset);
    if (wall === undefined) return undefined;
    const there = near(timeZone, wall);
    if (!there.change) return wall - there.offset;
    here = there;
  }
  const { change } = here;
  const barrier = barrierOf(change);
  const onOld = next(after + change.before);
  const onNew = next(Math.max(after + change.after, barrier - 1));
  const times = [
    ...(onOld !== undefined && onOld < barrier ? [onOld - change.before] : []),
    ...(onNew === undefined ? [] : [instantOf(timeZone, onNew)]),
  ];
  return times.length > 0 ? Math.min(...times) : undefined;
}
