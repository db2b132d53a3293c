/** Programs of steps and waits that fast-check makes up. */
import { fc } from '../support/properties.ts';

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
  /** Begun, and waited for only after the others. */
  | { op: 'late'; first: Op; others: Op[] }
  /** Begun, and never waited for. */
  | { op: 'forget'; what: Call }
  | { op: 'race' | 'any'; branches: Op[] };

/** What is one call of `job`. */
export type Call = Extract<Op, { op: 'step' | 'sleep' | 'event' | 'loop' | 'children' }>;

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
const fail = fc.record({
  op: fc.constant('fail' as const),
  attempts: fc.integer({ min: 1, max: 4 }),
});
const sleep = fc.record({
  op: fc.constant('sleep' as const),
  minutes: fc.integer({ min: 0, max: 90 }),
});
const loop = fc.record({
  op: fc.constant('loop' as const),
  rounds: fc.integer({ min: 0, max: 3 }),
  chars,
});
const simple: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: step },
  sleep,
  loop,
  fail,
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
/** Without waits. */
export const work: fc.Arbitrary<Op[]> = fc.array(fc.oneof(step, loop, fail), { maxLength: 4 });

const leaf = fc.oneof({ weight: 4, arbitrary: simple }, event, children);
const call: fc.Arbitrary<Call> = fc.oneof(step, sleep, loop, event, children);
const parallel: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant('all' as const),
    branches: fc.array(fc.array(leaf, { maxLength: 3 }), { minLength: 2, maxLength: 3 }),
  }),
  fc.record({
    op: fc.constantFrom('race' as const, 'any' as const),
    branches: fc.array(fc.oneof(step, leaf), { minLength: 2, maxLength: 3 }),
  }),
  fc.record({
    op: fc.constant('late' as const),
    first: leaf,
    others: fc.array(leaf, { minLength: 1, maxLength: 3 }),
  }),
);
const forgotten = fc.record({ op: fc.constant('forget' as const), what: call });

export const program: fc.Arbitrary<Op[]> = fc
  .array(
    fc.oneof(
      { weight: 15, arbitrary: leaf },
      { weight: 6, arbitrary: parallel },
      { weight: 1, arbitrary: forgotten },
    ),
    { maxLength: 5 },
  )
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
    if (op.op === 'late') {
      const [first] = withoutRepeats([op.first], seen);
      const others = withoutRepeats(op.others, seen);
      return first ? [{ ...op, first, others }] : others.length > 0 ? (others as T[]) : [];
    }
    if (op.op === 'forget') return withoutRepeats([op.what], seen).map((what) => ({ ...op, what }));
    return [op];
  });
}
