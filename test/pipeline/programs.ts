/** Programs of steps and waits that fast-check makes up, and the job type that runs them. */
import { setImmediate as hop } from 'node:timers/promises';
import { z } from 'zod';
import { type Duration, defineJob, type Job } from '../../functions/define-job.ts';
import { EventTimeoutError } from '../../functions/errors.ts';
import { callbackType } from '../../functions/model/event.ts';
import { fc } from '../support/properties.ts';
import { began, type World } from './world/world.ts';

export type EventName = 'a' | 'b';

export type Op =
  /** Fails in the first `fails` attempts; `hops`: how long it takes. */
  | { op: 'step'; undo: boolean; chars: number; fails: number; caught: boolean; hops: number }
  | { op: 'sleep'; minutes: number }
  /** Without a timeout somebody sends it in the end. */
  | { op: 'event'; name: EventName; minutes: number | undefined }
  | { op: 'loop'; rounds: number; chars: number }
  | { op: 'children'; programs: Op[][]; settled: boolean; limit: number | undefined; chars: number }
  | { op: 'fail'; attempts: number }
  /** The session state, or progress that nobody waits for. */
  | { op: 'report' }
  | { op: 'all'; branches: Op[][] }
  | { op: 'race' | 'any'; branches: Op[] };

// Beyond 8,000 characters a value is a blob, beyond 30,000 a checkpoint or a result.
const chars = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constantFrom(9_000, 16_000) },
  fc.constantFrom(31_000, 300_000),
);

const step = fc.record({
  op: fc.constant('step' as const),
  undo: fc.boolean(),
  chars,
  fails: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 6 })),
  caught: fc.boolean(),
  hops: fc.nat(3),
});
const simple: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: step },
  fc.record({ op: fc.constant('sleep' as const), minutes: fc.integer({ min: 0, max: 90 }) }),
  fc.record({ op: fc.constant('loop' as const), rounds: fc.integer({ min: 0, max: 3 }), chars }),
  fc.record({ op: fc.constant('fail' as const), attempts: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ op: fc.constant('report' as const) }),
);
const event = fc.record({
  op: fc.constant('event' as const),
  name: fc.constantFrom('a' as const, 'b' as const),
  minutes: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
});
const children = fc.record({
  op: fc.constant('children' as const),
  programs: fc.array(fc.array(simple, { maxLength: 3 }), { maxLength: 4 }),
  settled: fc.boolean(),
  limit: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined }),
  chars,
});
const leaf = fc.oneof({ weight: 4, arbitrary: simple }, event, children);
const parallel: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant('all' as const),
    branches: fc.array(fc.array(leaf, { maxLength: 3 }), { minLength: 2, maxLength: 3 }),
  }),
  fc.record({
    op: fc.constantFrom('race' as const, 'any' as const),
    branches: fc.array(fc.oneof(step, leaf), { minLength: 2, maxLength: 3 }),
  }),
);

export const program: fc.Arbitrary<Op[]> = fc
  .array(fc.oneof({ weight: 5, arbitrary: leaf }, { weight: 2, arbitrary: parallel }), {
    maxLength: 5,
  })
  .map((ops) => withoutRepeats(ops, new Set()));

/** An event comes once. */
function withoutRepeats<T extends Op>(ops: readonly T[], seen: Set<string>): T[] {
  return ops.flatMap((op): T[] => {
    if (op.op === 'event') {
      if (seen.has(op.name)) return [];
      seen.add(op.name);
    }
    if (op.op === 'all')
      return [{ ...op, branches: op.branches.map((branch) => withoutRepeats(branch, seen)) }];
    if (op.op === 'race' || op.op === 'any')
      return [{ ...op, branches: withoutRepeats(op.branches, seen) }];
    return [op];
  });
}

/** What the programs did, by job and name. */
export class Ledger {
  readonly ran = new Map<string, number>();
  readonly undone = new Map<string, number>();
  /** What was told to the address of a callback, and how often. */
  readonly told = new Map<string, number>();
  /** Steps that ran and have an undo. */
  readonly toUndo = new Set<string>();
}

/** Stands in for the job that calls back: it notes whom it told what. */
export const callbackStub = (ledger: Ledger) =>
  defineJob({
    type: callbackType,
    input: z.object({ id: z.string(), url: z.string(), event: z.object({ type: z.string() }) }),
    async run({ id, event }) {
      count(ledger.told, `${id} ${event.type}`);
      return null;
    },
  });

export const count = (map: Map<string, number>, name: string) =>
  map.set(name, (map.get(name) ?? 0) + 1);

interface Run {
  world: () => World;
  ledger: Ledger;
  job: Job<Record<EventName, z.ZodType<{ n: number }>>>;
  childOf: (ops: Op[], chars: number) => ReturnType<ReturnType<typeof programType>['with']>;
}

export const attempts = 3;

export function programType(ledger: Ledger, world: () => World, keep: Duration = '7d') {
  const type = defineJob({
    type: 'program',
    input: z.object({ ops: z.array(z.custom<Op>()), chars: z.number().default(0) }),
    events: { a: z.object({ n: z.number() }), b: z.object({ n: z.number() }) },
    attempts,
    backoff: { initial: '10s', jitter: false },
    keep,
    async run({ ops, chars }, job): Promise<{ total: number; padding: string }> {
      const delivery = began.getStore();
      if (delivery?.wasOver) world().violations.push(`${job.id} was run after its end`);
      if (delivery?.isOrphan) world().violations.push(`${job.id} was run after its parent's end`);
      const childOf = (below: Op[], size: number) => type.with({ ops: below, chars: size });
      const total = await runAll({ world, ledger, job, childOf }, ops, '');
      return { total, padding: 'r'.repeat(chars) };
    },
  });
  return type;
}

async function runAll(run: Run, ops: readonly Op[], path: string): Promise<number> {
  let total = 0;
  for (const [at, op] of ops.entries()) total += await runOne(run, op, `${path}${at}`);
  return total;
}

async function runOne(run: Run, op: Op, path: string): Promise<number> {
  const { job } = run;
  const name = `${op.op} ${path}`;
  switch (op.op) {
    case 'step':
      return runStep(run, op, name);
    case 'sleep':
      await job.sleep(name, `${op.minutes}m`);
      return 0;
    case 'event':
      return (await job.event(op.name, timeoutOf(op.minutes))).n;
    case 'fail':
      if (job.attempt <= op.attempts) throw new Error(`attempt ${job.attempt} of ${op.attempts}`);
      return 0;
    case 'report':
      void job.progress({ done: 1, note: path });
      return 0;
    case 'loop':
      return runLoop(run, op, name);
    case 'children':
      return runChildren(run, op, name);
    case 'all': {
      const branches = op.branches.map((branch, n) => runAll(run, branch, `${path}.${n}.`));
      return (await Promise.all(branches)).reduce((sum, one) => sum + one, 0);
    }
    case 'race':
    case 'any':
      return runRace(run, op, path);
  }
}

const timeoutOf = (minutes: number | undefined) =>
  minutes === undefined ? {} : { timeout: `${minutes}m` as const };

async function runStep(run: Run, op: Op & { op: 'step' }, name: string): Promise<number> {
  const { job, ledger, world } = run;
  const key = `${job.id} ${name}`;
  const mine = `${key} ${'v'.repeat(op.chars)}`;
  const act = async () => {
    count(ledger.ran, key);
    const wasKept = world().stores.keptSteps.get(job.id)?.has(name);
    if (wasKept && !began.getStore()?.isShared)
      world().violations.push(`${key} was run though its value was kept`);
    for (let n = 0; n < op.hops; n++) await hop();
    if (job.attempt <= op.fails) throw new Error(`step ${name} in attempt ${job.attempt}`);
    if (op.undo) ledger.toUndo.add(key);
    return mine;
  };
  const undo = async (value: string) => {
    if (value !== mine) world().violations.push(`${key} is undone by another's value`);
    count(ledger.undone, key);
  };
  try {
    const value = await job.step(name, act, op.undo ? { undo } : {});
    if (value !== mine)
      world().violations.push(`${key} has the value of ${value.slice(0, key.length + 10)}`);
    return 1;
  } catch (error) {
    if (!op.caught || job.signal.aborted || !String(error).includes('in attempt')) throw error;
    return 0;
  }
}

async function runLoop(run: Run, op: Op & { op: 'loop' }, name: string): Promise<number> {
  const padding = 'c'.repeat(op.chars);
  const start = { n: 0, name, padding };
  const ended = await run.job.checkpoint(name, start, async (from, save) => {
    if (from.name !== name) run.world().violations.push(`${name} goes on from ${from.name}`);
    for (let { n } = from; n < op.rounds; n++) await save({ n: n + 1, name, padding });
    return { rounds: op.rounds, name };
  });
  if (ended.name !== name) run.world().violations.push(`${name} has the value of ${ended.name}`);
  return ended.rounds;
}

async function runChildren(run: Run, op: Op & { op: 'children' }, name: string): Promise<number> {
  const { job, childOf } = run;
  const requests = op.programs.map((below) => childOf(below, op.chars));
  const limit = op.limit === undefined ? {} : { limit: op.limit };
  if (!op.settled) {
    const results = await job.children(name, requests, limit);
    return results.reduce((sum, { total }) => sum + total, 0);
  }
  const ended = await job.childrenSettled(name, requests, limit);
  return ended.reduce((sum, one) => sum + (one.ok ? one.result.total : 0), 0);
}

/** Who won stays who won, as long as the attempt is the same. */
async function runRace(run: Run, op: Op & { op: 'race' | 'any' }, path: string): Promise<number> {
  const { job, world } = run;
  if (op.branches.length === 0) return 0;
  const branches = op.branches.map(async (branch, n) => {
    await runOne(run, branch, `${path}.${n}`);
    return `${n}`;
  });
  const won = await (op.op === 'race' ? Promise.race(branches) : Promise.any(branches)).catch(
    (error: unknown) => {
      if (job.signal.aborted || !isOwn(error)) throw error;
      return 'none';
    },
  );
  const seen = `${job.attempt} ${won}`;
  const first = await job.step(`won ${path}`, async () => seen);
  if (first.startsWith(`${job.attempt} `) && first !== seen)
    world().violations.push(`${job.id} race ${path} was won by ${first}, then by ${seen}`);
  return 0;
}

/** A failure of the program, not of the world. */
const isOwn = (error: unknown): boolean =>
  error instanceof AggregateError
    ? error.errors.every(isOwn)
    : error instanceof EventTimeoutError || /attempt|Child|did not come/.test(String(error));
