/** Jobs of one key that fast-check makes up: in what order they run, and what they leave in its state. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { hasEnded } from '#longhaul/model/job-record.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { fc } from '../support/properties.ts';
import { attempts, Ledger, programType, runAll } from './program-type.ts';
import { type Op, program, work } from './programs.ts';
import { troubles } from './story.ts';
import { began, type Trouble, World } from './world/world.ts';

interface Keyed {
  ordered: boolean;
  jobs: { ops: Op[]; setsFirst: boolean }[];
  troubles: Trouble[];
  acts: { act: 'cancel' | 'retry' | 'letters'; which: number }[];
  skews: number[];
}

const jobs = (ops: fc.Arbitrary<Op[]>) =>
  fc.array(fc.record({ ops, setsFirst: fc.boolean() }), { minLength: 1, maxLength: 4 });
export const keyed: fc.Arbitrary<Keyed> = fc.boolean().chain((ordered) =>
  fc.record({
    ordered: fc.constant(ordered),
    jobs: jobs(ordered ? work : program),
    troubles,
    acts: fc.array(
      fc.record({
        act: fc.constantFrom('cancel' as const, 'retry' as const, 'letters' as const),
        which: fc.nat(3),
      }),
      { maxLength: 4 },
    ),
    skews: fc.array(fc.integer({ min: -10, max: 10 }), { maxLength: 4 }),
  }),
);

/** What the jobs of the key did. */
class Line {
  readonly ledger = new Ledger();
  /** As they were submitted. */
  readonly ids: string[] = [];
  /** As they began. */
  readonly begun: string[] = [];
}

const lineType = (line: Line, world: () => World, ordered: boolean) => {
  const children = programType(line.ledger, world);
  return defineJob({
    type: 'line',
    input: z.object({ ops: z.array(z.custom<Op>()), setsFirst: z.boolean() }),
    events: { a: z.object({ n: z.number() }), b: z.object({ n: z.number() }) },
    key: () => 'k',
    ordered,
    attempts,
    backoff: { initial: '10s', jitter: false },
    async run({ ops, setsFirst }, job) {
      if (began.getStore()?.wasOver) world().violations.push(`${job.id} was run after its end`);
      noteBegin(line, world(), job.id, ordered);
      const before = (await job.session.get<string[]>()) ?? [];
      if (setsFirst) await job.session.set([...before, job.id]);
      const childOf = (below: Op[], chars: number) => children.with({ ops: below, chars });
      await runAll({ world, ledger: line.ledger, job, childOf }, ops, '');
      if (!setsFirst) await job.session.set([...before, job.id]);
      return null;
    },
  });
};

/** "One at a time, in the order in which they came … with `ordered` through retries." */
function noteBegin(line: Line, world: World, id: string, ordered: boolean): void {
  if (line.begun.includes(id)) return;
  line.begun.push(id);
  if (!ordered) return;
  const lying = world.bus.all('standard-keyed').map(({ messageId }) => messageId);
  for (const other of line.ids.slice(0, line.ids.indexOf(id)))
    if (!world.record(other)?.triedBefore && lying.some((one) => one.startsWith(other)))
      world.violations.push(`${id} began before ${other} had ended`);
}

export async function keepsOrderAndState(told: Keyed): Promise<void> {
  const line = new Line();
  let call = 0;
  let clock = 0;
  let world: World;
  const skewMs = () => (told.skews[clock++ % Math.max(1, told.skews.length)] ?? 0) * 60_000;
  const type = lineType(line, () => world, told.ordered);
  const types = [type, programType(line.ledger, () => world)];
  world = new World(types, () => told.troubles[call++] ?? 'none', skewMs);
  for (const input of told.jobs)
    line.ids.push((await submit(world.app(), type.with(input))).record.id);
  for (const { act, which } of told.acts) {
    const id = line.ids[which % line.ids.length] ?? '';
    const acts = {
      cancel: () => world.attempt((by) => cancel(by, id)),
      retry: () => world.attempt((by) => retry(by, id)),
      letters: () => world.watchLetters(),
    };
    // Refused, when it has ended, or has not.
    world.actions.push(() => acts[act]().catch(() => undefined));
  }
  await world.run(() => 0);
  for (const id of line.ids)
    if (world.record(id)?.state === 'waiting') await cancel(world.app(), id);
  await world.run(() => 0);
  judge(line, world);
}

function judge(line: Line, world: World): void {
  assert.deepEqual(world.violations, []);
  const inOrder = line.ids.filter((id) => line.begun.includes(id));
  assert.deepEqual(line.begun, inOrder, 'they began as they came');
  const state = JSON.parse(world.bus.stateOf('standard-keyed k')?.toString() ?? '{}');
  const counted = (state.value ?? []) as string[];
  assert.equal(new Set(counted).size, counted.length, `counted twice: ${counted}`);
  for (const id of line.ids) {
    const { state: end, error } = world.record(id) ?? {};
    assert.ok(end && hasEnded(end), `${id} is still ${end}`);
    // Given up by the broker, it may have been over but for its record.
    if (error?.code === 'delivery_limit_exceeded') continue;
    assert.equal(
      counted.includes(id),
      end === 'succeeded',
      `${id} ${end}, the state has ${counted}`,
    );
  }
}
