/** What `docs/promises.md` says of a job, sentence by sentence, as something that can be asserted. */
import assert from 'node:assert/strict';
import { hasEnded, type JobRecord } from '#longhaul/model/job-record.js';
import { attempts, type Ledger } from './program-type.ts';
import type { Op } from './programs.ts';
import type { World } from './world/world.ts';

export interface Lived {
  world: World;
  ledger: Ledger;
  root: string;
  ops: readonly Op[];
  /** Nobody died, lost a lock or met a write that failed. */
  calm: boolean;
  /** Somebody cancelled, or a timeout may have come first. */
  free: boolean;
  /** How often the failed job was started again. */
  retries: number;
  /** Hours may have passed between the end of a job and its message's return. */
  late: boolean;
}

export function judge(lived: Lived): void {
  assert.deepEqual(lived.world.violations, []);
  for (const record of lived.world.records) {
    endsOnce(lived, record);
    undoesWhatWasKept(lived, record);
  }
  repliesToEachEnd(lived);
  callsBackForEachEnd(lived);
  endsAsItsHandlerDeserves(lived);
}

/** "A job that was accepted runs at least once and ends exactly once." */
function endsOnce({ world, retries }: Lived, { id, state, triedBefore }: JobRecord): void {
  assert.ok(hasEnded(state), `${id} is still ${state}`);
  const ends = world.ends.get(id) ?? 0;
  assert.ok(ends >= 1 && ends <= 1 + retries, `${id} ended ${ends} times`);
  if (triedBefore === undefined) assert.equal(ends, 1);
}

/**
 * "`undo` runs when the job fails for good or is cancelled: the last kept step first … each recorded
 * in `undone`." "A step whose value was not kept is not undone."
 */
function undoesWhatWasKept({ world, ledger, calm, retries }: Lived, record: JobRecord): void {
  const { id, state, undone = [] } = record;
  const onRecord = undone.filter(({ error }) => !error).map(({ step }) => `${id} ${step}`);
  const done = [...ledger.undone.keys()].filter((name) => name.startsWith(`${id} `));
  // Started again, what was undone is done again.
  if (retries > 0) return;
  if (state === 'succeeded') {
    assert.deepEqual(done, [], 'undone for nothing');
    return;
  }
  assert.deepEqual(onRecord.sort(), done.sort(), 'what was undone is on record');
  // What the broker gave up on could not be run, nor undone.
  if (record.error?.code === 'delivery_limit_exceeded') return;
  assert.deepEqual(world.stores.undoable.get(id) ?? [], [], 'all that was kept is undone');
  if (!calm) return;
  const ran = [...ledger.toUndo].filter((name) => name.startsWith(`${id} `));
  assert.deepEqual(ran.sort(), done.sort(), 'nobody died in the middle of a step');
}

/** "Not promised: … an end that nobody had told when the job was started again an hour later." */
const mayBeUntold = ({ retries, late }: Lived) => late && retries > 0;

/** "Replies and completions carry ids that follow from the job, so that the broker drops a second copy." */
function repliesToEachEnd(lived: Lived): void {
  const { world, root, retries } = lived;
  const replies = world.bus.all('replies');
  const ids = new Set(replies.map(({ messageId }) => messageId));
  if (mayBeUntold(lived)) assert.ok(ids.size >= 1);
  else assert.equal(ids.size, world.ends.get(root), 'a reply for each end');
  assert.ok(ids.size <= 1 + retries);
  const last = replies.map(({ properties }) => properties['state']).at(-1);
  const record = world.record(root);
  if (record) assert.equal(last, record.state);
}

/** "Replies, completions and callbacks are sent for each end, whoever dies in between." */
function callsBackForEachEnd(lived: Lived): void {
  const { world, ledger, root } = lived;
  const told = new Set([...ledger.told.keys()].filter((name) => name.startsWith(`${root}:`)));
  if (mayBeUntold(lived)) assert.ok(told.size >= 1);
  else assert.equal(told.size, world.ends.get(root), `told: ${[...told].join(', ')}`);
}

/**
 * "`attempts` … The record ends once", as the handler would have ended undisturbed. "A call of `job` that
 * nobody awaits … fails the job."
 */
function endsAsItsHandlerDeserves({ world, ops, root, free, retries }: Lived): void {
  const record = world.record(root);
  if (free || !record || record.error?.code === 'delivery_limit_exceeded' || isLoose(ops)) return;
  // Storage was so slow that an attempt took longer than it may.
  const errors = world.records.flatMap(({ history = [] }) => history.map(({ error }) => error));
  if (errors.some(({ code }) => code === 'timeout')) return;
  const last = attempts * (1 + retries);
  const good = firstGoodAttempt(ops, last);
  assert.equal(record.state, good === undefined ? 'failed' : 'succeeded', record.error?.message);
  if (good === undefined || !record.result) return;
  const json =
    'json' in record.result
      ? record.result.json
      : world.stores.blobs.get(record.result.blob)?.toString();
  assert.equal((JSON.parse(json ?? '{}') as { total: number }).total, totalOf(ops, good));
}

/** Its end depends on who is first. */
const isLoose = (ops: readonly Op[]): boolean =>
  ops.some(
    (op) =>
      op.op === 'race' ||
      op.op === 'any' ||
      (op.op === 'event' && op.minutes !== undefined) ||
      (op.op === 'all' && op.branches.some(isLoose)) ||
      (op.op === 'late' && isLoose([op.first, ...op.others])) ||
      (op.op === 'children' && op.programs.some(isLoose)),
  );

const firstGoodAttempt = (ops: readonly Op[], last: number): number | undefined =>
  Array.from({ length: last }, (_, n) => n + 1).find((attempt) => !failsIn(ops, attempt));

function failsIn(ops: readonly Op[], attempt: number): boolean {
  return ops.some((op) => {
    if (op.op === 'fail') return attempt <= op.attempts;
    if (op.op === 'step') return !op.caught && attempt <= op.fails;
    if (op.op === 'forget') return true;
    if (op.op === 'all') return op.branches.some((branch) => failsIn(branch, attempt));
    if (op.op === 'late') return failsIn([op.first, ...op.others], attempt);
    if (op.op !== 'children' || op.settled) return false;
    // A child has attempts of its own, and fails again however often its parent is tried.
    return op.programs.some((one) => firstGoodAttempt(one, attempts) === undefined);
  });
}

/** What a program comes to in an attempt that does not fail. */
function totalOf(ops: readonly Op[], attempt: number): number {
  return ops.reduce((sum, op) => sum + worth(op, attempt), 0);
}

function worth(op: Op, attempt: number): number {
  if (op.op === 'step') return attempt > op.fails ? 1 : 0;
  if (op.op === 'loop') return op.rounds;
  if (op.op === 'event') return 5;
  if (op.op === 'all') return op.branches.reduce((sum, one) => sum + totalOf(one, attempt), 0);
  if (op.op === 'late') return totalOf([op.first, ...op.others], attempt);
  if (op.op !== 'children') return 0;
  return op.programs.reduce((sum, one) => {
    const good = firstGoodAttempt(one, attempts);
    return sum + (good === undefined ? 0 : totalOf(one, good));
  }, 0);
}

/** "A `keep` after its end the record, result, files and checkpoints go … for thirty days more, then 404." */
export async function leavesNothing(world: World, clocksAgree: boolean): Promise<void> {
  for (const days of [8, 40]) {
    world.now += days * 86_400_000;
    await world.removeExpired(true);
  }
  assert.deepEqual(world.records, []);
  assert.deepEqual([...world.stores.tombstones], []);
  assert.deepEqual([...world.stores.blobs.keys()], []);
  const ofWatches = /^(dead-letters|dead-letters-swept)\n/;
  // A janitor whose clock is ahead by more than `keep` may be there before an end is announced.
  const ofEnds = /^ended /;
  const left = [...world.stores.notes.keys()].filter(
    (name) => !ofWatches.test(name) && (clocksAgree || !ofEnds.test(name)),
  );
  assert.deepEqual(left, []);
}
