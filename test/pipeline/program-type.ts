/** The job type that runs the programs, and notes what they did. */
import { setImmediate as hop } from 'node:timers/promises';
import { z } from 'zod';
import { type Duration, defineJob, type Job } from '#longhaul/define/define-job.js';
import { EventTimeoutError } from '#longhaul/errors.js';
import { callbackType } from '#longhaul/model/event.js';
import type { Call, EventName, Op } from './programs.ts';
import { began, type World } from './world/world.ts';

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

export interface Run {
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

export async function runAll(run: Run, ops: readonly Op[], path: string): Promise<number> {
  let total = 0;
  for (const [at, op] of ops.entries()) total += await runOne(run, op, `${path}${at}`);
  return total;
}

async function runOne(run: Run, op: Op, path: string): Promise<number> {
  const { job } = run;
  switch (op.op) {
    case 'step':
    case 'loop':
    case 'children':
    case 'event':
    case 'sleep':
      return runCall(run, op, `${op.op} ${path}`);
    case 'fail':
      if (job.attempt <= op.attempts) throw new Error(`attempt ${job.attempt} of ${op.attempts}`);
      return 0;
    case 'report':
      void job.progress({ done: 1, note: path });
      return 0;
    case 'all': {
      const branches = op.branches.map((branch, n) => runAll(run, branch, `${path}.${n}.`));
      return (await Promise.all(branches)).reduce((sum, one) => sum + one, 0);
    }
    case 'race':
    case 'any':
      return runRace(run, op, path);
    case 'late': {
      const first = runOne(run, op.first, `${path}.first`);
      // Handled below, or left, as a handler may that fails before it comes to it.
      first.catch(() => undefined);
      const total = await runAll(run, op.others, `${path}.`);
      return total + (await first);
    }
    case 'forget':
      void beginCall(run, op.what, `${op.what.op} ${path}`);
      return 0;
  }
}

/** One call of `job`, and what it gives. */
function beginCall(run: Run, op: Call, name: string): Promise<unknown> {
  const { job } = run;
  switch (op.op) {
    case 'step':
      return beginStep(run, op, name);
    case 'sleep':
      return job.sleep(name, `${op.minutes}m`);
    case 'event':
      return job.event(op.name, op.minutes === undefined ? {} : { timeout: `${op.minutes}m` });
    case 'loop':
      return beginLoop(run, op, name);
    case 'children':
      return beginChildren(run, op, name);
  }
}

/** What a call adds to the total; the values are looked at. */
async function runCall(run: Run, op: Call, name: string): Promise<number> {
  const { job, world } = run;
  const begun = beginCall(run, op, name);
  if (op.op === 'sleep') return begun.then(() => 0);
  if (op.op === 'event') return ((await begun) as { n: number }).n;
  if (op.op === 'step')
    try {
      const value = (await begun) as string;
      if (value !== stepValue(run, op, name))
        world().violations.push(`${job.id} ${name} has the value of ${value.slice(0, 60)}`);
      return 1;
    } catch (error) {
      if (!op.caught || job.signal.aborted || !String(error).includes('in attempt')) throw error;
      return 0;
    }
  if (op.op === 'loop') {
    const ended = (await begun) as { name: string; rounds: number };
    if (ended.name !== name) world().violations.push(`${name} has the value of ${ended.name}`);
    return ended.rounds;
  }
  if (op.settled) {
    const ended = (await begun) as { ok: boolean; result?: { total: number } }[];
    return ended.reduce((sum, { result }) => sum + (result?.total ?? 0), 0);
  }
  return ((await begun) as { total: number }[]).reduce((sum, { total }) => sum + total, 0);
}

const stepValue = ({ job }: Run, { chars }: Op & { op: 'step' }, name: string) =>
  `${job.id} ${name} ${'v'.repeat(chars)}`;

function beginStep(run: Run, op: Op & { op: 'step' }, name: string): Promise<string> {
  const { job, ledger, world } = run;
  const key = `${job.id} ${name}`;
  const mine = stepValue(run, op, name);
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
  return job.step(name, act, op.undo ? { undo } : {});
}

function beginLoop(run: Run, op: Op & { op: 'loop' }, name: string): Promise<unknown> {
  const padding = 'c'.repeat(op.chars);
  const start = { n: 0, name, padding };
  return run.job.checkpoint(name, start, async (from, save) => {
    if (from.name !== name) run.world().violations.push(`${name} goes on from ${from.name}`);
    for (let { n } = from; n < op.rounds; n++) await save({ n: n + 1, name, padding });
    return { rounds: op.rounds, name };
  });
}

function beginChildren(run: Run, op: Op & { op: 'children' }, name: string): Promise<unknown> {
  const { job, childOf } = run;
  const requests = op.programs.map((below) => childOf(below, op.chars));
  const limit = op.limit === undefined ? {} : { limit: op.limit };
  return op.settled
    ? job.childrenSettled(name, requests, limit)
    : job.children(name, requests, limit);
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
