/**
 * `npm run test:promises -- --runs 20000 --seed 7`: the promises for as many made-up programs as one
 * has time for, without the test runner, which takes most of the time. Each thousand has the next seed.
 */
import { parseArgs } from 'node:util';
import { fc } from '../support/properties.ts';
import { keepsOrderAndState, keyed } from './keyed.ts';
import { check, keepsItsPromises, runsEachStepOnce } from './properties.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '10000' }, seed: { type: 'string' } },
});
const first = Number(values.seed ?? Date.now() % 2 ** 31);
const runs = Number(values.runs);
const atOnce = 1_000;
process.stdout.write(`${runs} programs, seeds from ${first}\n`);
for (let done = 0, seed = first; done < runs; done += atOnce, seed++) {
  const numRuns = Math.min(atOnce, runs - done);
  await check(keepsItsPromises, { numRuns, seed });
  await check(runsEachStepOnce, { numRuns: Math.ceil(numRuns / 10), seed });
  const ofKeys = Math.ceil(numRuns / 4);
  await fc.assert(fc.asyncProperty(keyed, keepsOrderAndState), { numRuns: ofKeys, seed });
  process.stdout.write(`${done + numRuns} kept their promises, seed ${seed}\n`);
}
