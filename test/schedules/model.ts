/**
 * What docs/promises.md says of schedules, sentence by sentence, held against what a world of schedulers
 * did. Nothing here knows how it is done.
 */
import assert from 'node:assert/strict';
import { sameDefinition, sameTiming } from '#longhaul/define/schedule-definition.js';
import { toMs } from '#longhaul/model/duration.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import { hasEnded } from '#longhaul/model/job-record.js';
import type { Schedule, ScheduleDefinition } from '#longhaul/model/schedule.js';
import { lookEveryMs, type Run, type Schedulers } from './world.ts';

/** What can have come in between, so far as a promise has to allow for it. */
export interface Conditions {
  /** How far clocks and slow calls may be apart from the true time. */
  apartMs: number;
  /** Nothing died, failed or was lost, all clocks were right and somebody always looked. */
  isCalm: boolean;
  /** Each end was told in time. */
  allTold: boolean;
  /** Runs by hand that were answered. */
  byHand: readonly { key: string | undefined; id: string }[];
}

/** One definition, as long as it was in force, by the clocks of who changed it. */
interface Reign {
  definition: ScheduleDefinition;
  from: number;
  to: number;
  /** The one before it may have sent ahead what this one would. */
  isFirst: boolean;
}

/** A schedule from its PUT to its DELETE, or to the end. */
interface Life {
  reigns: Reign[];
  born: number;
  died: number | undefined;
  last: Schedule;
  /** Jobs that its history ever had. */
  noted: Set<string>;
}

export function livesOf(world: Schedulers, id: string): Life[] {
  const lives: Life[] = [];
  let life: Life | undefined;
  for (const { at, by, id: of, schedule } of world.versions) {
    if (of !== id) continue;
    const reign = life?.reigns.at(-1);
    if (!schedule) {
      if (life && reign) [life.died, reign.to] = [at, by];
      life = undefined;
      continue;
    }
    if (!life) {
      life = { reigns: [], born: at, died: undefined, last: schedule, noted: new Set() };
      lives.push(life);
    }
    if (!reign || !sameDefinition(reign.definition, schedule)) {
      if (reign) reign.to = by;
      const next = { definition: schedule, from: by, to: world.now + 1 };
      life.reigns.push({ ...next, isFirst: !reign });
    }
    life.last = schedule;
    for (const { job } of schedule.history) if (job) life.noted.add(job);
  }
  return lives;
}

/** The due times of crons by so many seconds or minutes, and of `at`, worked out by counting. */
export function duesOf({ cron, at }: ScheduleDefinition, from: number, to: number): number[] {
  if (at) return [Date.parse(at)].filter((due) => due > from && due <= to);
  const [, seconds] = /^\*\/(\d+) \* \* \* \* \*$/.exec(cron ?? '') ?? [];
  const [, minutes] = /^\*\/(\d+) \* \* \* \*$/.exec(cron ?? '') ?? [];
  if (!seconds && !minutes) return [];
  const step = seconds ? Number(seconds) * 1000 : Number(minutes) * 60_000;
  const dues: number[] = [];
  for (let due = (Math.floor(from / step) + 1) * step; due <= to; due += step) dues.push(due);
  return dues;
}

/** Holds one schedule against all that is promised of it. */
export function judge(world: Schedulers, id: string, conditions: Conditions): void {
  const lives = livesOf(world, id);
  const runs = [...world.runs.values()].filter(({ schedule }) => schedule === id);
  const due = runs.filter((run) => !isByHand(run));
  oneJobForEach(runs, world.now);
  onlyDueTimes(due, lives, conditions);
  oneForEachKey(conditions);
  for (const life of lives) {
    const mine = due.filter((run) => isSentIn(run, life, world) && run.starts > 0);
    eachIsCounted(life, conditions, world);
    // What was sent by somebody who died before he wrote it, and whom a change kept from being heard
    // of, is known to nobody.
    const known = mine.filter(({ id: job }) => life.noted.has(job));
    noTwoAtOnce(known, life);
    if (conditions.apartMs === 0) inTheirOrder(known, life);
    fromEndToStart(mine, runs, life, conditions);
    if (conditions.isCalm) atItsSecond(mine, life);
  }
  const [last] = lives.slice(-1);
  if (last && last.died === undefined) goesOn(world, last, conditions);
}

/** Its id follows from no due time. */
const isByHand = ({ id, schedule, due }: Run): boolean =>
  id !== idOfOccurrence(schedule, new Date(due));

/** "Each due time gives one job, however many schedulers look and wherever one dies." */
function oneJobForEach(runs: readonly Run[], now: number): void {
  for (const { id, starts, runAt, startedAt } of runs) {
    assert.ok(starts <= 1, `${id} ran ${starts} times`);
    assert.ok(startedAt !== undefined || runAt >= now, `${id} never ran`);
  }
}

/** "A paused schedule has no due times", and nothing runs at a time that nobody asked for. */
function onlyDueTimes(due: readonly Run[], lives: readonly Life[], { apartMs }: Conditions): void {
  const reigns = lives.flatMap((life) => life.reigns);
  for (const run of due) {
    const asked = reigns.some(({ definition, from, to, isFirst }) => {
      if (!definition.enabled) return false;
      if (definition.every)
        // What ran before it became one is what it counts from.
        return (!isFirst || run.due >= from - apartMs) && run.due <= to + lookEveryMs + apartMs;
      return duesOf(definition, from - apartMs, to + lookEveryMs + apartMs).includes(run.due);
    });
    assert.ok(asked, `nobody asked for ${new Date(run.due).toISOString()}`);
  }
}

/** "Asked for again with its Idempotency-Key a run by hand is the same run." */
function oneForEachKey({ byHand }: Conditions): void {
  const ids = new Map<string, string>();
  for (const { key, id } of byHand) {
    if (key === undefined) continue;
    assert.equal(ids.get(key) ?? id, id, `key ${key} gave two jobs`);
    ids.set(key, id);
  }
}

/**
 * "Each due time is run, skipped, missed or waits, and is counted once." "A change settles what was due
 * before it by what the schedule said then; another timing counts from then on, and not before what was
 * sent ahead."
 */
function eachIsCounted(life: Life, { apartMs, byHand }: Conditions, world: Schedulers): void {
  const { counts, pending } = life.last;
  const sent = [...world.runs.values()].filter((run) => isSentIn(run, life, world));
  // The history has the last twenty, and more may be sent at once.
  assert.ok(life.noted.size <= counts.runs, `${counts.runs} runs, ${life.noted.size} jobs`);
  // By clocks that are apart nobody may know of an `at` that it was sent, or of a run that is asked for
  // again that it has left the history.
  const again = apartMs > 0 ? byHand.filter(({ key }) => key).length : 0;
  if (apartMs === 0 || always(life, ({ at }) => !at))
    assert.ok(sent.length + again >= counts.runs, `${counts.runs} runs, ${sent.length} jobs`);
  const counted = counts.runs + counts.skipped + counts.missed + (pending ? 1 : 0);
  if (life.reigns.some(({ definition }) => definition.every)) return;
  let [least, most] = [0, 0];
  for (const { definition, from, to, isFirst } of merged(life.reigns)) {
    if (!definition.enabled) continue;
    const ahead = lookEveryMs + apartMs;
    const end = Math.min(to, world.now);
    least += duesOf(
      definition,
      isFirst ? from + apartMs : from + ahead,
      end - (to > world.now ? ahead : 0),
    ).length;
    most += duesOf(definition, from - apartMs, end + ahead).length;
  }
  const mine = sent.filter(isByHand);
  const told = mine.filter((run) => byHand.some(({ id, key }) => id === run.id && !key)).length;
  if (life.died === undefined)
    assert.ok(counted >= least + told, `${counted} of ${least} due times and ${told} by hand`);
  const all = most + mine.length + again;
  assert.ok(counted <= all, `${counted} for ${most} due times and ${mine.length} by hand`);
}

const isSentIn = ({ sentAt, id }: Run, { born, died, noted }: Life, { now }: Schedulers): boolean =>
  noted.has(id) || (sentAt >= born && sentAt < (died ?? now + 1));

/** One timing that goes on under another input or overlap is one. */
function merged(reigns: readonly Reign[]): Reign[] {
  const all: Reign[] = [];
  for (const reign of reigns) {
    const before = all.at(-1);
    if (before && sameTiming(before.definition, reign.definition)) before.to = reign.to;
    else all.push({ ...reign });
  }
  return all;
}

const always = ({ reigns }: Life, is: (definition: ScheduleDefinition) => boolean): boolean =>
  reigns.every(({ definition }) => is(definition));

/** "`skip` and `queue`: no due time starts while the run of another is under way." */
function noTwoAtOnce(mine: readonly Run[], life: Life): void {
  if (!always(life, ({ overlap }) => overlap !== 'allow')) return;
  const inOrder = mine.toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0));
  for (const [at, run] of inOrder.slice(1).entries()) {
    const before = inOrder[at];
    assert.ok(
      (run.startedAt ?? 0) >= (before?.endedAt ?? Number.POSITIVE_INFINITY),
      `${new Date(run.due).toISOString()} started while another ran`,
    );
  }
}

/** "`queue`: one waits for the end", and none overtakes it. */
function inTheirOrder(mine: readonly Run[], life: Life): void {
  if (!always(life, ({ overlap, jitter, cron }) => overlap !== 'allow' && !jitter && !!cron))
    return;
  const dues = mine
    .toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0))
    .map(({ due }) => due);
  assert.deepEqual(
    dues,
    dues.toSorted((a, b) => a - b),
  );
}

/** "`every` is from the end of a run to the start of the next", or from when one was left out. */
function fromEndToStart(
  mine: readonly Run[],
  all: readonly Run[],
  life: Life,
  { apartMs }: Conditions,
): void {
  const [only] = life.reigns;
  const { every } = only?.definition ?? {};
  const isOnTime = apartMs === 0 && life.last.counts.missed === 0;
  if (!only || !every || life.reigns.length > 1 || !isOnTime) return;
  for (const { due } of mine) {
    const began = due - toMs(every);
    const isFirst = began === only.from;
    assert.ok(
      isFirst || all.some(({ endedAt }) => endedAt === began),
      `${new Date(due).toISOString()} follows upon no end`,
    );
  }
}

/** "A job is sent ahead, to start at its second." */
function atItsSecond(mine: readonly Run[], life: Life): void {
  for (const { due, startedAt = 0 } of mine) {
    const reign = life.reigns.find(({ from, to }) => due > from && due <= to);
    const { overlap, cron, jitter } = reign?.definition ?? {};
    if (!reign || due < reign.from + lookEveryMs || overlap !== 'allow' || !cron || jitter)
      continue;
    assert.equal(startedAt, due, 'late');
  }
  assert.equal(life.last.counts.missed, 0, 'missed with nobody away');
}

/** "A schedule goes on": what is due is looked at, and no run that is over holds up another. */
function goesOn(world: Schedulers, life: Life, { apartMs, allTold }: Conditions): void {
  const { last } = life;
  const { running, pending, enabled, nextAt, counts, history } = last;
  const record = running && world.record(running.job);
  const ended = record && hasEnded(record.state) ? Date.parse(record.finishedAt ?? '') : undefined;
  // What ended a moment ago may be told a moment from now.
  const isHeld =
    running !== undefined && (ended === undefined || world.now - ended < 11 * 60_000 + apartMs);
  assert.ok(!running || isHeld, `${running?.job} is over and holds up others`);
  if (enabled && pending) assert.ok(isHeld && last.overlap !== 'allow', 'one waits for nothing');
  if (enabled && (last.cron || (last.every && !isHeld))) {
    assert.ok(nextAt !== undefined, 'it is never due again');
    const behind = world.now - Date.parse(nextAt);
    assert.ok(behind <= lookEveryMs + apartMs, `nobody has looked for ${behind} ms`);
  }
  for (const run of history) if (run.job && run.state === 'lost') assert.fail(`${run.job} is lost`);
  const ends = [...life.noted].flatMap((job) => world.runs.get(job)?.endedAt ?? []);
  const told = counts.succeeded + counts.failed;
  assert.ok(told <= ends.length, `${told} ends of ${ends.length}`);
  const long = ends.filter((at) => at < world.now - 3_000).length;
  if (allTold) assert.ok(told >= long, `of ${long} ends ${told} are counted`);
}
