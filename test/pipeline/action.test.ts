/** An action does once to each job what it is to do, whatever dies meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { NonRetryableError } from '#longhaul/errors.js';
import { actionJob, startAction } from '#longhaul/operate/action.js';
import { redrive, redriveJob } from '#longhaul/operate/redrive.js';
import { fc } from '../support/properties.ts';
import { troubles } from './story.ts';
import { type Trouble, World } from './world/world.ts';

/** Jobs that fail each time; how often each ran. */
function failing(trouble: () => Trouble = () => 'none') {
  const runs = new Map<number, number>();
  const type = defineJob({
    type: 'failing',
    input: z.object({ n: z.number() }),
    attempts: 1,
    async run({ n }): Promise<null> {
      runs.set(n, (runs.get(n) ?? 0) + 1);
      throw new NonRetryableError('again');
    },
  });
  let world: World;
  // Its calls meet trouble too: one that dies of it hangs, and is tried again.
  const app = () => world.app({ dead: false, held: [], skewMs: 0 });
  world = new World([type, actionJob(app), redriveJob(app)], trouble);
  return { world, type, runs };
}

const lived = fc.record({
  troubles,
  jobs: fc.integer({ min: 1, max: 4 }),
  by: fc.constantFrom('action', 'redrive'),
});

test('each failed job is started again once, also when it fails again', () =>
  fc.assert(
    fc.asyncProperty(lived, async (told) => {
      let call = 0;
      let isCalm = true;
      const trouble = () => (isCalm ? 'none' : (told.troubles[call++] ?? 'none'));
      const { world, type, runs } = failing(trouble);
      const ids: string[] = [];
      for (let n = 0; n < told.jobs; n++)
        ids.push((await submit(world.app(), type.with({ n }))).record.id);
      await world.run(() => 0);
      assert.deepEqual(
        [...runs.values()],
        ids.map(() => 1),
      );
      isCalm = false;
      const by = { pace: 1000 };
      const started = await (told.by === 'action'
        ? startAction(world.app(), { ...by, do: 'retry', filter: { state: 'failed' } })
        : redrive(world.app(), { ...by, do: 'redrive', filter: {} }));
      await world.run(() => 0);
      assert.deepEqual(world.violations, []);
      for (const id of ids) {
        const record = world.record(id);
        assert.equal(record?.state, 'failed');
        // Attempt 1 was before; how often attempt 2 ran is a matter of what died.
        assert.equal(record?.attempt, 2, `${id}: ${JSON.stringify(record)}`);
      }
      assert.ok(['succeeded', 'failed'].includes(world.record(started.id)?.state ?? ''));
    }),
    { numRuns: Number(process.env['RUNS'] ?? 100) },
  ));
