import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { JobTypes } from '#longhaul/define/catalogue.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { DefinitionError } from '#longhaul/errors.js';

const topology = {
  lanes: [{ name: 'standard', plain: 'p', keyed: 'k', maxTimeout: '10m' as const }],
  completions: 'c',
  replies: [],
  inbox: 'inbox',
  queues: [],
};
const job = (more: object) =>
  defineJob({ type: 'a', input: z.object({}), run: async () => ({}), ...more });

const wrong: [what: string, more: object, problem: RegExp][] = [
  ['a lane that is not in the topology', { lane: 'heavy' }, /lane: 'heavy'/],
  ['a timeout beyond the lane', { timeout: '11m' }, /timeout: 11m is more than lane standard/],
  ['no attempts', { attempts: 0 }, /attempts/],
  ['a limit without a key', { limit: 3 }, /limit: it counts the jobs of a key/],
  ['a limit of nothing', { limit: 0, key: () => 'k' }, /limit: give a whole number/],
  ['order without a key', { ordered: true }, /ordered: it is the jobs of a key/],
  ['order with a limit', { ordered: true, limit: 2, key: () => 'k' }, /ordered: with a limit/],
  ['a priority that is no lane', { priorities: ['heavy'] }, /priorities: 'heavy'/],
  ['priorities with a key', { priorities: ['standard'], key: () => 'k' }, /stay in one lane/],
  ['an event that is no name', { events: { 'a/b': z.object({}) } }, /events: 'a\/b' is part of an/],
  ['a keep that is none', { keep: 'forever' }, /keep: 'forever'/],
  ['a backoff that shrinks', { backoff: { initial: '1s', factor: 0.5 } }, /backoff.factor/],
  ['a duration that is none', { startBefore: 'soon' }, /startBefore: 'soon'/],
  ['a cron that is none', { schedules: [{ id: 's', cron: 'daily', input: {} }] }, /schedule s/],
  [
    'a cron that never fires',
    { schedules: [{ id: 's', cron: '0 0 30 2 *', input: {} }] },
    /never fires/,
  ],
  [
    'an unknown zone',
    { schedules: [{ id: 's', cron: '* * * * *', timeZone: 'Mars/Base', input: {} }] },
    /schedule s/,
  ],
  [
    'a schedule with an id that is none',
    { schedules: [{ id: 'night/ly', cron: '0 3 * * *', input: {} }] },
    /schedule night\/ly: \/id has letters/,
  ],
  [
    'a schedule whose input does not fit',
    {
      input: z.object({ n: z.number() }),
      schedules: [{ id: 's', cron: '0 3 * * *', input: { n: 'x' } }],
    },
    /schedule s: \/input\/n /,
  ],
  [
    'a schedule that is too often',
    { schedules: [{ id: 's', every: '10ms', input: {} }] },
    /schedule s: \/every is a second at least/,
  ],
  [
    'a cron of days that no month has',
    { schedules: [{ id: 's', cron: '0 0 0 31 2,4,6,9,11 *', input: {} }] },
    /never fires/,
  ],
  ['a keep of ages', { keep: '99999999999999d' }, /keep: .* is longer than 3650d/],
  ['a name twice', { formerly: ['a'] }, /two job types have this name/],
];
for (const [what, more, problem] of wrong)
  test(`${what} is an error at start-up`, () => {
    assert.throws(
      () => new JobTypes([job(more)], topology),
      (error: unknown) => error instanceof DefinitionError && problem.test(error.message),
    );
  });

test('every problem is told at once', () => {
  assert.throws(
    () =>
      new JobTypes(
        [
          job({ attempts: 0 }),
          job({
            type: 'b',
            timeout: '1d',
            schedules: [{ id: '', cron: 'x', every: '1', input: 7 }],
          }),
        ],
        topology,
      ),
    /a: attempts[\s\S]*b: schedule [\s\S]*\/id [\s\S]*\/cron [\s\S]*\/every [\s\S]*\/input [\s\S]*b: timeout/,
  );
});
