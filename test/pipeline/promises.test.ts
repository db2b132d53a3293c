/** The promises of a job, for programs of steps and waits that fast-check makes up, among crashes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '../../functions/define-job.ts';
import type { JobRecord } from '../../functions/model/job-record.ts';
import { cancel } from '../../functions/pipeline/cancel.ts';
import { submit } from '../../functions/pipeline/submit.ts';
import { tellEvent } from '../../functions/pipeline/tell-event.ts';
import { fc } from '../support/properties.ts';
import { type Trouble, World } from './world/world.ts';

type Op =
  | { op: 'step'; undo: boolean }
  | { op: 'sleep'; minutes: number }
  /** Without a timeout somebody sends it in the end. */
  | { op: 'event'; name: 'a' | 'b'; minutes: number | undefined }
  | { op: 'loop'; rounds: number }
  | { op: 'children'; programs: Op[][]; settled: boolean }
  /** Fails in the first so many attempts; in all of them from three on. */
  | { op: 'fail'; attempts: number };

const simple: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('step' as const), undo: fc.boolean() }) },
  fc.record({ op: fc.constant('sleep' as const), minutes: fc.integer({ min: 0, max: 90 }) }),
  fc.record({ op: fc.constant('loop' as const), rounds: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ op: fc.constant('fail' as const), attempts: fc.integer({ min: 1, max: 3 }) }),
);
const event = fc.record({
  op: fc.constant('event' as const),
  name: fc.constantFrom('a' as const, 'b' as const),
  minutes: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
});
const childProgram = fc.array(simple, { maxLength: 3 });
const children = fc.record({
  op: fc.constant('children' as const),
  programs: fc.array(childProgram, { maxLength: 4 }),
  settled: fc.boolean(),
});
const program = fc
  .array(fc.oneof({ weight: 4, arbitrary: simple }, event, children), { maxLength: 6 })
  // An event comes once.
  .map((ops) =>
    ops.filter(
      (op, at) =>
        op.op !== 'event' || ops.findIndex((o) => o.op === 'event' && o.name === op.name) === at,
    ),
  );

const troubles = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant<Trouble>('none') },
    fc.constantFrom<Trouble>('dies before', 'dies after', 'loses its lock', 'answer lost'),
    { weight: 3, arbitrary: fc.constantFrom<Trouble>('somebody acts', 'another works') },
  ),
  { maxLength: 120 },
);

/** What the programs did, by job. */
class Ledger {
  readonly ran = new Map<string, number>();
  readonly undone = new Map<string, number>();
  /** Steps that ran and have an undo. */
  readonly toUndo = new Set<string>();
}

const count = (map: Map<string, number>, name: string) => map.set(name, (map.get(name) ?? 0) + 1);

function programType(ledger: Ledger) {
  const type = defineJob({
    type: 'program',
    input: z.object({ ops: z.array(z.custom<Op>()) }),
    events: { a: z.object({ n: z.number() }), b: z.object({ n: z.number() }) },
    attempts: 3,
    backoff: { initial: '10s', jitter: false },
    async run({ ops }, job): Promise<{ total: number }> {
      let total = 0;
      for (const [at, op] of ops.entries()) {
        const name = `${op.op} ${at}`;
        if (op.op === 'sleep') await job.sleep(name, `${op.minutes}m`);
        if (op.op === 'event') total += (await job.event(op.name, timeoutOf(op.minutes))).n;
        if (op.op === 'fail' && (job.attempt <= op.attempts || op.attempts === 3))
          throw new Error(`attempt ${job.attempt} of ${op.attempts}`);
        if (op.op === 'step')
          total += await job.step(
            name,
            async () => {
              count(ledger.ran, `${job.id} ${name}`);
              if (op.undo) ledger.toUndo.add(`${job.id} ${name}`);
              return 1;
            },
            op.undo ? { undo: async () => void count(ledger.undone, `${job.id} ${name}`) } : {},
          );
        if (op.op === 'loop')
          total += await job.checkpoint(name, 0, async (from, save) => {
            for (let n = from; n < op.rounds; n++) await save(n + 1);
            return op.rounds;
          });
        if (op.op === 'children') {
          const requests = op.programs.map((below) => type.with({ ops: below }));
          if (op.settled)
            for (const one of await job.childrenSettled(name, requests))
              total += one.ok ? one.result.total : 0;
          else for (const one of await job.children(name, requests)) total += one.total;
        }
      }
      return { total };
    },
  });
  return type;
}

const timeoutOf = (minutes: number | undefined) =>
  minutes === undefined ? {} : { timeout: `${minutes}m` as const };

const fails = (ops: readonly Op[]): boolean =>
  ops.some((op) =>
    op.op === 'children'
      ? !op.settled && op.programs.some(fails)
      : op.op === 'fail' && op.attempts === 3,
  );

/** What a program comes to that nobody disturbs. */
function totalOf(ops: readonly Op[]): number {
  return ops.reduce((sum, op) => {
    if (op.op === 'step') return sum + 1;
    if (op.op === 'loop') return sum + op.rounds;
    if (op.op === 'event') return sum + 5;
    if (op.op !== 'children') return sum;
    return sum + op.programs.reduce((all, one) => all + (fails(one) ? 0 : totalOf(one)), 0);
  }, 0);
}

interface Story {
  ops: Op[];
  troubles: Trouble[];
  acts: ('cancel' | 'a' | 'b')[];
  choices: number[];
}

async function live({ ops, troubles, acts, choices }: Story) {
  const ledger = new Ledger();
  const type = programType(ledger);
  let call = 0;
  const world = new World([type], () => troubles[call++] ?? 'none');
  const app = world.app();
  const { record } = await submit(app, type.with({ ops }, { replyTo: 'replies' }));
  const { id } = record;
  // Refused, when the job has ended or has heard of it.
  const tell = (name: string) => tellEvent(app, id, name, { n: 5 }).catch(() => undefined);
  for (const act of acts)
    world.actions.push(async () => {
      if (act !== 'cancel') await tell(act);
      else await cancel(app, id).catch(() => undefined);
    });
  let choice = 0;
  const choose = (ready: number) => (choices[choice++ % choices.length] ?? 0) % Math.max(1, ready);
  await world.run(choose);
  for (const name of ['a', 'b']) {
    await tell(name);
    await world.run(choose);
  }
  return { world, ledger, root: id };
}

const story = fc.record({
  ops: program,
  troubles,
  acts: fc.array(fc.constantFrom('cancel' as const, 'a' as const, 'b' as const), { maxLength: 4 }),
  choices: fc.array(fc.nat(20), { minLength: 1, maxLength: 10 }),
});

function judge(world: World, record: JobRecord, ledger: Ledger, calm: boolean): void {
  const { id, state, undone = [] } = record;
  assert.equal(world.ends.get(id), 1, `${id} is ${state}`);
  const onRecord = undone.filter(({ error }) => !error).map(({ step }) => `${id} ${step}`);
  const done = [...ledger.undone.keys()].filter((name) => name.startsWith(id));
  if (state === 'succeeded') assert.deepEqual(done, [], 'undone for nothing');
  else {
    assert.deepEqual(onRecord.sort(), done.sort(), 'what was undone is on record');
    assert.deepEqual(world.undoable.get(id) ?? [], [], 'all that was kept is undone');
  }
  // Nobody died in the middle of a step.
  if (calm && state !== 'succeeded')
    assert.deepEqual([...ledger.toUndo].filter((name) => name.startsWith(id)).sort(), done);
}

const deadly: Trouble[] = ['dies before', 'dies after', 'loses its lock'];

test('whatever dies, every job ends once, with the right result, and its undos run', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (told) => {
      const { world, ledger, root } = await live(told);
      assert.deepEqual(world.violations, []);
      const calm = !told.troubles.some((trouble) => deadly.includes(trouble));
      for (const record of world.records) judge(world, record, ledger, calm);
      const record = world.records.find(({ id }) => id === root);
      assert.ok(record);
      assert.deepEqual(
        world.bus.all('replies').map(({ properties }) => properties['state']),
        [record.state],
      );
      const timed = told.ops.some((op) => op.op === 'event' && op.minutes);
      if (told.acts.includes('cancel') || timed) return;
      assert.equal(record.state, fails(told.ops) ? 'failed' : 'succeeded', record.error?.message);
      if (record.result && 'json' in record.result)
        assert.deepEqual(JSON.parse(record.result.json), { total: totalOf(told.ops) });
    }),
    { numRuns: Number(process.env['RUNS'] ?? 300) },
  );
});

test('without trouble each step runs once', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (told) => {
      const { ledger } = await live({ ...told, troubles: [], acts: [] });
      for (const [name, times] of ledger.ran) assert.equal(times, 1, name);
      for (const [name, times] of ledger.undone) assert.equal(times, 1, name);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 300) },
  );
});
