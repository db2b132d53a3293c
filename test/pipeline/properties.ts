/** What holds for each story. */
import assert from 'node:assert/strict';
import { fc } from '../support/properties.ts';
import { judge, leavesNothing } from './promises.ts';
import { live, type Story, story } from './story.ts';

export async function keepsItsPromises(told: Story): Promise<void> {
  const lived = await live(told);
  judge(lived);
  await leavesNothing(
    lived.world,
    told.skews.every((skew) => skew === 0),
  );
}

export async function runsEachStepOnce(told: Story): Promise<void> {
  const calm = { ...told, troubles: [], acts: [], skews: [], retryAtLast: false };
  const { world, ledger } = await live(calm);
  assert.deepEqual(world.violations, []);
  const isFlaky = /"fails":[1-9]/.test(JSON.stringify(told.ops));
  for (const [name, times] of ledger.ran) assert.ok(times === 1 || isFlaky, name);
  for (const [name, times] of ledger.undone) assert.equal(times, 1, name);
}

export const check = (
  holds: (told: Story) => Promise<void>,
  parameters: fc.Parameters<[Story]>,
): Promise<void> => fc.assert(fc.asyncProperty(story, holds), parameters);
