/**
 * A year of a thousand schedules under a moved clock, against due times worked out independently: by
 * walking the clock on the wall of each zone minute by minute, with `Intl` and without the cron library.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import type { ScheduleDefinition } from '#longhaul/model/schedule.js';
import { putSchedule } from '#longhaul/schedules/change.js';
import { tick } from '#longhaul/schedules/tick.js';
import { World } from '../pipeline/world/world.ts';

const began = Date.parse('2027-12-31T22:00:00Z');
// With a leap day in it.
const ends = Date.parse('2029-01-01T00:00:00Z');
const minute = 60_000;
const day = 24 * 60 * minute;

const zones = [
  ...['UTC', 'Europe/Amsterdam', 'America/New_York', 'America/Santiago', 'Australia/Sydney'],
  ...['Asia/Kolkata', 'Africa/Cairo', 'Pacific/Auckland'],
];

/** A cron that fires at some minute and hour, on some days. */
interface Pattern {
  minute: number;
  hour: number;
  dayOfMonth?: number;
  month?: number;
  dayOfWeek?: number;
}

const toCron = ({ minute: m, hour, dayOfMonth, month, dayOfWeek }: Pattern) =>
  [m, hour, dayOfMonth ?? '*', month ?? '*', dayOfWeek ?? '*'].join(' ');

const patterns: Pattern[] = Array.from({ length: 40 }, (_, n) => {
  const at = { minute: (n * 7) % 60, hour: n < 12 ? 1 + (n % 3) : (n * 5) % 24 };
  if (n % 5 === 0) return { ...at, dayOfMonth: 31 };
  if (n % 5 === 1) return { ...at, dayOfMonth: 29, month: 2 };
  if (n % 5 === 2) return { ...at, dayOfWeek: n % 7 };
  if (n % 10 === 9) return { ...at, dayOfWeek: 1 };
  if (n % 5 === 3) return { ...at, dayOfMonth: 1 + (n % 28) };
  return at;
});

interface Wall {
  at: number;
  /** The clock on the wall, as if it were UTC. */
  wall: number;
}

/** The clock on the wall of a zone at every minute of the time. */
function wallOf(timeZone: string): Wall[] {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const walls: Wall[] = [];
  // A change of the clock falls on a quarter of an hour.
  for (let quarter = began; quarter < ends; quarter += 15 * minute) {
    const part = Object.fromEntries(
      format.formatToParts(quarter).map(({ type, value }) => [type, Number(value)]),
    ) as Record<string, number>;
    const { year = 0, month = 1, day: date = 1, hour = 0, minute: m = 0 } = part;
    const wall = Date.UTC(year, month - 1, date, hour, m);
    for (let n = 0; n < 15; n++) walls.push({ at: quarter + n * minute, wall: wall + n * minute });
  }
  return walls;
}

function fits(pattern: Pattern, wall: number): boolean {
  const minutes = wall / minute;
  if (minutes % 60 !== pattern.minute || Math.floor(minutes / 60) % 24 !== pattern.hour)
    return false;
  const date = new Date(wall);
  return (
    (pattern.dayOfMonth === undefined || date.getUTCDate() === pattern.dayOfMonth) &&
    (pattern.month === undefined || date.getUTCMonth() + 1 === pattern.month) &&
    (pattern.dayOfWeek === undefined || date.getUTCDay() === pattern.dayOfWeek)
  );
}

/**
 * A time on the clock that comes twice counts once, the first time; one that is left out counts as
 * much later as the clock was put forward.
 */
function expectedTimes(pattern: Pattern, walls: readonly Wall[]): number[] {
  const times = new Set<number>();
  let latest = Number.NEGATIVE_INFINITY;
  for (const { at, wall } of walls) {
    for (let left = latest + minute; latest > 0 && left < wall; left += minute)
      if (fits(pattern, left)) times.add(at + (left - latest - minute));
    if (wall > latest && fits(pattern, wall)) times.add(at);
    latest = Math.max(latest, wall);
  }
  return [...times].sort((a, b) => a - b);
}

test('a thousand schedules over a leap year fire when the clocks on the wall say so, once each', async () => {
  const type = defineJob({
    type: 't',
    input: z.object({}),
    run: async () => ({}),
  });
  const world = new World([type], () => 'none');
  world.now = began;
  const app = world.app();
  const sent = new Map<string, number[]>();
  // What the scheduler sends is what counts here: the jobs are not run.
  app.queue.send = async ({ properties, messageId, at }) => {
    const id = String(properties['schedule']);
    const due = Date.parse(String(properties['scheduledFor']));
    assert.equal(messageId, idOfOccurrence(id, new Date(due)));
    assert.ok(!at || at.getTime() === due, 'starts at its second');
    sent.set(id, [...(sent.get(id) ?? []), due]);
  };
  app.records.write = async (record) => ({ record, etag: '1' });
  const expected = new Map<string, number[]>();
  const worked = new Map<string, number[]>();
  const walls = new Map(zones.map((zone) => [zone, wallOf(zone)]));
  const base = { type: 't', input: {}, overlap: 'allow', misfire: 'once', enabled: true } as const;
  for (let n = 0; n < 1000; n++) {
    const id = `s${n}`;
    const zone = zones[Math.floor(n / patterns.length) % zones.length] ?? 'UTC';
    const pattern = patterns[n % patterns.length] ?? assert.fail();
    // Some begin or end within the year.
    const startsAt = n % 11 === 0 ? began + 100 * day : undefined;
    const endsAt = n % 13 === 0 ? began + 200 * day : undefined;
    const definition: ScheduleDefinition = {
      ...base,
      ...{ cron: toCron(pattern), timeZone: zone },
      ...(startsAt ? { startsAt: new Date(startsAt).toISOString() } : {}),
      ...(endsAt ? { endsAt: new Date(endsAt).toISOString() } : {}),
    };
    await putSchedule(app, id, definition);
    const name = `${toCron(pattern)} ${zone}`;
    const times = worked.get(name) ?? expectedTimes(pattern, walls.get(zone) ?? []);
    worked.set(name, times);
    const within = times.filter(
      (at) => at > began && at >= (startsAt ?? 0) && at <= (endsAt ?? ends) && at < ends,
    );
    expected.set(id, within);
  }
  let late = 0;
  for (;;) {
    const next = world.schedules.nextWakeAt;
    if (next >= ends) break;
    // A tick comes somewhere within its fifteen seconds.
    late = (late + 7_919) % 15_000;
    world.now = Math.max(world.now, next - 15_000 + late);
    await tick(app);
  }
  let fired = 0;
  for (const [id, times] of expected) {
    const mine = (sent.get(id) ?? []).filter((at) => at < ends);
    assert.deepEqual(mine.map(iso), times.map(iso), id);
    fired += mine.length;
  }
  assert.ok(fired > 40_000, `${fired} fired`);
});

const iso = (at: number) => new Date(at).toISOString();
