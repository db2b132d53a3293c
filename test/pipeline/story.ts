/** A made-up program, and what befalls it: lived through from its submit to its end. */

import { retry } from '#longhaul/admit/retry.js';
import { submit } from '#longhaul/admit/submit.js';
import type { Duration } from '#longhaul/define/define-job.js';
import { cancel } from '#longhaul/wait/cancel.js';
import { tellEvent } from '#longhaul/wait/tell-event.js';
import { fc } from '../support/properties.ts';
import { callbackStub, Ledger, programType } from './program-type.ts';
import { type Op, program } from './programs.ts';
import type { Lived } from './promises.ts';
import { type Trouble, World } from './world/world.ts';

const all: Trouble[] = [
  'dies before',
  'dies after',
  'dies for hours',
  'loses its lock',
  'answer lost',
  'fails before',
  'fails after',
  'slow',
  'hours pass',
];

/** Each trouble alone, any two, or all together; always with people and other workers. */
export const troubles = fc
  .oneof(
    fc.constantFrom(...all).map((one) => [one]),
    fc.tuple(fc.constantFrom(...all), fc.constantFrom(...all)),
    fc.constant(all),
  )
  .chain((some) =>
    fc.array(
      fc.oneof(
        { weight: 12, arbitrary: fc.constant<Trouble>('none') },
        { weight: 2, arbitrary: fc.constantFrom(...some) },
        { weight: 3, arbitrary: fc.constantFrom<Trouble>('somebody acts', 'another works') },
      ),
      { maxLength: 120 },
    ),
  );

const acts = ['cancel', 'a', 'b', 'retry', 'janitor', 'letters'] as const;
type Act = (typeof acts)[number];

export interface Story {
  ops: Op[];
  troubles: Trouble[];
  acts: Act[];
  choices: number[];
  skews: number[];
  keep: Duration;
  delay: Duration | undefined;
  retryAtLast: boolean;
}

export const story: fc.Arbitrary<Story> = fc.record({
  ops: program,
  troubles,
  acts: fc.array(fc.constantFrom(...acts), { maxLength: 4 }),
  choices: fc.array(fc.nat(20), { minLength: 1, maxLength: 10 }),
  skews: fc.array(fc.integer({ min: -10, max: 10 }), { maxLength: 4 }),
  keep: fc.constantFrom<Duration>('5m', '1h', '7d'),
  delay: fc.option(fc.constantFrom<Duration>('1m', '10d'), { nil: undefined }),
  retryAtLast: fc.boolean(),
});

const bigValue = 150_000;
const payload = (name: string) => ({ n: 5, text: name === 'b' ? 'e'.repeat(bigValue) : '' });

export async function live(told: Story): Promise<Lived> {
  const ledger = new Ledger();
  let call = 0;
  let clock = 0;
  const skewMs = () => (told.skews[clock++ % Math.max(1, told.skews.length)] ?? 0) * 60_000;
  let world: World;
  const type = programType(ledger, () => world, told.keep);
  world = new World([type, callbackStub(ledger)], () => told.troubles[call++] ?? 'none', skewMs);
  const app = world.app();
  const options = {
    replyTo: 'replies',
    callback: { url: 'https://example.com/told' },
    requestedBy: 'ada',
    ...(told.delay ? { delay: told.delay } : {}),
  };
  const { record } = await submit(app, type.with({ ops: told.ops }, options));
  const { id } = record;
  // Refused, when the job has ended or has heard of it.
  const refused = () => undefined;
  const perform: Record<Act, () => Promise<unknown>> = {
    cancel: () => world.attempt((by) => cancel(by, id)).catch(refused),
    a: () => tellEvent(app, id, 'a', payload('a')).catch(refused),
    b: () => tellEvent(app, id, 'b', payload('b')).catch(refused),
    retry: () => world.attempt((by) => retry(by, id)).catch(refused),
    janitor: () => world.removeExpired(),
    letters: () => world.watchLetters(),
  };
  for (const act of told.acts) world.actions.push(perform[act]);
  let choice = 0;
  const choose = (ready: number) =>
    (told.choices[choice++ % told.choices.length] ?? 0) % Math.max(1, ready);
  await world.run(choose);
  for (const name of ['a', 'b'] as const) {
    await perform[name]();
    await world.run(choose);
  }
  if (told.retryAtLast && world.record(id)?.state === 'failed') {
    await retry(app, id).catch(refused);
    await world.run(choose);
    for (const name of ['a', 'b'] as const) {
      await perform[name]();
      await world.run(choose);
    }
  }
  const mild: Trouble[] = ['none', 'somebody acts', 'another works', 'slow', 'hours pass'];
  // While others act a call may stand still for longer than an attempt waits for what it has done.
  const stoodStill = world.logged.some((line) => line.includes('held the process'));
  const calm = !stoodStill && told.troubles.every((trouble) => mild.includes(trouble));
  const free = told.acts.includes('cancel');
  const retries = world.stores.restarts.get(id) ?? 0;
  const late = told.troubles.some((one) => one === 'dies for hours' || one === 'hours pass');
  return { world, ledger, root: id, ops: told.ops, calm, free, retries, late };
}
