/**
 * The promises of schedules, for programs that fast-check makes up: schedules of each kind that are made,
 * changed, paused, removed and run by hand while they are due, among schedulers that die, fail, are slow
 * and have other clocks. `SCHEDULE_RUNS=50000 SEED=7 node --test dist/test/schedules/programs.test.js`
 * looks further.
 */
import { test } from 'node:test';
import { defineJob } from '#longhaul/define/define-job.js';
import type { ScheduleDefinition } from '#longhaul/model/schedule.js';
import { patchSchedule, putSchedule, removeSchedule, runNow } from '#longhaul/schedules/change.js';
import { syncDeclared } from '#longhaul/schedules/declared.js';
import { fc } from '../support/properties.ts';
import { type Conditions, judge } from './model.ts';
import { lasting, Schedulers, type Trouble } from './world.ts';

const second = 1_000;
const minute = 60 * second;
const id = 's';

type Timing = Pick<ScheduleDefinition, 'cron' | 'every' | 'at'>;
const began = new Schedulers().began;
const timing: fc.Arbitrary<Timing> = fc.oneof(
  ...[2, 5, 20].map((n) => fc.constant({ cron: `*/${n} * * * * *` })),
  ...[1, 3].map((n) => fc.constant({ cron: `*/${n} * * * *` })),
  fc.constantFrom<Timing>({ every: '7s' }, { every: '1m' }),
  fc.integer({ min: 5, max: 300 }).map((s) => ({ at: new Date(began + s * second).toISOString() })),
);
const definition: fc.Arbitrary<ScheduleDefinition> = fc
  .record({
    timing,
    overlap: fc.constantFrom('skip' as const, 'queue' as const, 'allow' as const),
    misfire: fc.constantFrom('skip' as const, 'once' as const, 'all' as const),
    jitter: fc.option(fc.constantFrom('1s' as const, '20s' as const), { nil: undefined, freq: 8 }),
    ms: fc.constantFrom(0, 300, 4 * second, 25 * second, 100 * second),
    fails: fc.boolean(),
    enabled: fc.constantFrom(true, true, true, false),
  })
  .map(({ timing: when, ms, fails, jitter, ...rest }) => ({
    ...{ type: 'lasting', input: { ms, fails }, ...when, ...rest },
    ...(jitter ? { jitter } : {}),
  }));

type Act =
  | { act: 'put'; definition: ScheduleDefinition }
  | { act: 'patch'; changes: Partial<ScheduleDefinition> }
  | { act: 'remove' }
  | { act: 'run'; key: string | undefined }
  /** The app is deployed with it, or without. */
  | { act: 'deploy'; cron: string };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ act: fc.constant('put' as const), definition }),
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant('patch' as const),
      changes: fc.oneof(
        fc.boolean().map((enabled) => ({ enabled })),
        fc
          .constantFrom('skip' as const, 'queue' as const, 'allow' as const)
          .map((overlap) => ({ overlap })),
        fc.constantFrom('1s' as const, '10s' as const).map((jitter) => ({ jitter })),
        fc.constantFrom(100, 30 * second).map((ms) => ({ input: { ms } })),
      ),
    }),
  },
  fc.constant({ act: 'remove' as const }),
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('run' as const),
      key: fc.constantFrom(undefined, 'a', 'b'),
    }),
  },
  fc.record({
    act: fc.constant('deploy' as const),
    cron: fc.constantFrom('*/5 * * * * *', '*/1 * * * *'),
  }),
);

const trouble = fc.oneof(
  { weight: 14, arbitrary: fc.constant<Trouble>('none') },
  fc.constantFrom<Trouble>('dies before', 'dies after', 'fails before', 'fails after'),
  fc.constantFrom<Trouble>('answer lost', 'slow', 'another looks', 'somebody acts'),
);
const skew = fc.constantFrom(0, 0, 0, -150 * second, 40 * second, 150 * second);

const program = fc.record({
  first: definition,
  acts: fc.array(fc.record({ act, at: fc.integer({ min: 0, max: 300 }), skew }), { maxLength: 6 }),
  troubles: fc.oneof(fc.constant<Trouble[]>([]), fc.array(trouble, { maxLength: 150 })),
  skews: fc.array(skew, { minLength: 1, maxLength: 4 }),
  workerSkew: fc.constantFrom(0, 0, -2 * minute, 2 * minute),
  /** How long it takes until each end is told; -1 for never. */
  told: fc.array(fc.constantFrom(50, 50, 50, 2 * second, 20 * second, -1), {
    minLength: 1,
    maxLength: 5,
  }),
  /** Nobody looks in this time, in seconds. */
  away: fc.option(
    fc.record({
      from: fc.integer({ min: 0, max: 120 }),
      seconds: fc.integer({ min: 20, max: 180 }),
    }),
    { nil: undefined },
  ),
  /** The same for all who look, so that a cron can be judged to the second. */
  rightClocks: fc.boolean(),
});
type Program = typeof program extends fc.Arbitrary<infer P> ? P : never;

const troubledFor = 5 * minute;
// A run that nothing is heard of is looked up after ten minutes, unless a due time meets it before.
const calmFor = 13 * minute;
const calmOfSeconds = 2 * minute;

class Story {
  readonly world = new Schedulers();
  readonly byHand: { key: string | undefined; id: string }[] = [];
  readonly #program: Program;

  constructor(told: Program) {
    this.#program = told;
  }

  async live(): Promise<void> {
    const { world } = this;
    const { first, acts, troubles, skews, away, told, rightClocks, workerSkew } = this.#program;
    const skewOf = (given: number) => (rightClocks ? 0 : given);
    world.workerSkew = skewOf(workerSkew);
    world.skewOfOther = skewOf(skews.at(-1) ?? 0);
    let call = 0;
    let end = 0;
    let look = 0;
    world.toldAfter = () => {
      const after = told[end++ % told.length] ?? 0;
      return after < 0 ? undefined : after;
    };
    await putSchedule(world.app(), id, first);
    world.trouble = () => troubles[call++] ?? 'none';
    for (const one of acts) {
      const doIt = () => this.#act(one.act, skewOf(one.skew));
      // Half of them in the middle of what another does.
      if (one.at % 2 === 0) world.at(world.began + one.at * second, doIt);
      else world.acts.push(doIt);
    }
    const isOver = () => world.now >= world.began + troubledFor;
    world.lookFrom(
      world.began,
      () => (isOver() ? 0 : skewOf(skews[look++ % skews.length] ?? 0)),
      (now) => {
        const at = (now - world.began) / second;
        return !away || at < away.from || at > away.from + away.seconds;
      },
    );
    await world.until(world.began + troubledFor);
    world.trouble = () => 'none';
    const bySecond = world.schedules.all.every(({ cron = '' }) => cron.split(' ').length === 6);
    await world.until(world.began + troubledFor + (bySecond ? calmOfSeconds : calmFor));
  }

  async #act(what: Act, skewMs: number): Promise<void> {
    const { world } = this;
    if (what.act === 'put') await world.do(skewMs, (app) => putSchedule(app, id, what.definition));
    if (what.act === 'patch')
      await world.do(skewMs, (app) =>
        patchSchedule(app, id, (known) => ({ ...known, ...what.changes })),
      );
    if (what.act === 'remove') await world.do(skewMs, (app) => removeSchedule(app, id));
    if (what.act === 'deploy') await this.#deploy(what.cron, skewMs);
    if (what.act !== 'run') return;
    const ran = await world.do(skewMs, (app) => runNow(app, id, what.key));
    if ('ok' in ran) this.byHand.push({ key: what.key, id: ran.ok.id });
  }

  /** The same id in the code of the job type. */
  async #deploy(cron: string, skewMs: number): Promise<void> {
    const type = defineJob({
      ...lasting.definition,
      schedules: [{ id, cron, input: { ms: 300 } }],
    } as never);
    const { types } = new Schedulers([type as never]);
    (this.world as { types: typeof types }).types = types;
    await this.world.do(skewMs, (app) => syncDeclared(app));
  }

  get conditions(): Conditions {
    const { troubles, away, told, rightClocks, acts, first } = this.#program;
    const isTroubled = troubles.some((one) => one !== 'none');
    const slow = troubles.filter((one) => one === 'slow').length;
    const all = [
      first,
      ...acts.flatMap(({ act: one }) => (one.act === 'put' ? one.definition : [])),
    ];
    const apart =
      (rightClocks ? 0 : 300 * second) + (isTroubled ? Math.min(slow, 3) * 10 * second : 0);
    return {
      apartMs: apart,
      isCalm: !isTroubled && !away && rightClocks && told.every((after) => after >= 0),
      // More than twenty at once, and the history has no place for their ends.
      allTold:
        told.every((after) => after >= 0 && after <= 2 * second) &&
        acts.length === 0 &&
        !isTroubled &&
        all.every(({ overlap, every }) => overlap !== 'allow' || every !== undefined),
      byHand: this.byHand,
    };
  }
}

test('schedules keep their promises, whatever is done to them and whoever dies', async () => {
  const seed = process.env['SEED'];
  await fc.assert(
    fc.asyncProperty(program, async (told) => {
      const story = new Story(told);
      await story.live();
      judge(story.world, id, story.conditions);
    }),
    {
      numRuns: Number(process.env['SCHEDULE_RUNS'] ?? 150),
      ...(seed === undefined ? {} : { seed: Number(seed) }),
    },
  );
});
